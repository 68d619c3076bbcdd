"""The recorder node: starts and stops bags, and says what they hold and lack."""
