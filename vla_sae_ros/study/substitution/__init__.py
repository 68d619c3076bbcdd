"""What replacing the stream by an SAE's reconstruction does to actions and success."""
