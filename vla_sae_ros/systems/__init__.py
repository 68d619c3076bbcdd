"""Systems: which nodes run together, with which parameters and remappings, as plain data."""
