"""`vla-sae demos`: scripted demonstrations, staged stills and dataset aggregation."""
