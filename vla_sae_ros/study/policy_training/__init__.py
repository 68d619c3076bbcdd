"""`vla-sae train-policy`: training the small SmolVLA on demonstrations."""
