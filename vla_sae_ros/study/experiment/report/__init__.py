"""A study as one page."""
