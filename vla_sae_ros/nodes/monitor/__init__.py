"""The monitor node: scores every inference, and what an alarm does."""
