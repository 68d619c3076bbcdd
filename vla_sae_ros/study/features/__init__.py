"""What is known of each feature: statistics, related state variables, top episodes."""
