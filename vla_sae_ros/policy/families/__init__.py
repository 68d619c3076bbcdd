"""Policy families: one adapter each, which names the sites and reads and writes the stream."""
