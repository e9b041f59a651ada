"""Social data for recbench."""
