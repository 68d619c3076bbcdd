"""Any environment of lerobot (`lerobot.envs` and its plugins) behind the Environment protocol."""
