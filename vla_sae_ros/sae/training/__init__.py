"""Training a sparse autoencoder, with checkpoints and metrics."""
