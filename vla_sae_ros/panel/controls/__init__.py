"""Controls: starting and stopping episodes, recordings and the robot."""
