"""Video data for recbench."""
