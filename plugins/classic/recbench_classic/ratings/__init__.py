"""Models of values: what a user will give to an item."""
