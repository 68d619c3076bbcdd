"""`vla-sae collect`: activations of a policy from LIBERO, data sets and bags."""
