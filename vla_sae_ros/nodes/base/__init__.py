"""What every node has: parameters, start and end of its process, its description."""
