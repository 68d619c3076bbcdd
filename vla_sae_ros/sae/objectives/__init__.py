"""The losses that sparse autoencoders are trained with, one kind per file."""
