"""Pure Python: values, steering, contracts, alignment. No ROS, no Qt, no torch."""
