"""Scripts that bring up a whole system and drive it, as any user's script would."""
