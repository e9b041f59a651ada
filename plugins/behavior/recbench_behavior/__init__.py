"""How likely a user is to do it."""
