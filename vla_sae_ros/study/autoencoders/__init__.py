"""`vla-sae train-sae` and `convert-sae`: bundles from activations and from foreign files."""
