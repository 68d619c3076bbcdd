"""Bags: writing and reading recordings of a running system."""
