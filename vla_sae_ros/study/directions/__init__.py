"""Directions that are no SAE features, found in collected activations: `vla-sae direct`."""
