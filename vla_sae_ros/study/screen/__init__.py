"""Which feature does that? Open-loop effects of all features of a site: `vla-sae screen`."""
