"""Classic recommenders for recbench."""
