"""Episodes side by side: players that simulate and ask, one policy that answers many at once."""
