"""Shopping data for recbench."""
