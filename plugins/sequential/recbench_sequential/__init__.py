"""Sequence models for recbench."""
