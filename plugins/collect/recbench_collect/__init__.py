"""A user's own data for recbench: files, web logs, surveys, app events, shop platforms."""
