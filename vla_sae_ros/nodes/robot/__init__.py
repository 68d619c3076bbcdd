"""The robot bridge: an arm behind topics, services and the `run_episode` action."""
