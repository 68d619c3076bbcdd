"""`vla-sae report`: one page about the features of a bundle."""
