"""A study's records: the table of runs and the arrays of each run."""
