"""`vla-sae bag <verb>`: what can be done with a recorded bag."""
