"""General or memorized: the metric of Swann et al., its classifier and its share."""
