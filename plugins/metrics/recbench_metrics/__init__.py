"""Ranking metrics for recbench."""
