"""Collaborative models, trained with Lightning: who met what, without an order."""
