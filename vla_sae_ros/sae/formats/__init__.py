"""Reading and writing the checkpoint formats that people have; one reader per file."""
