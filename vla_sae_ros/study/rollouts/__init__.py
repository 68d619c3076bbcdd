"""`vla-sae rollout`: success of a policy over tasks, layouts and seeds."""
