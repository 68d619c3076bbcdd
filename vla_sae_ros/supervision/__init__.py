"""Running a system description as supervised processes, where there is no ROS launch."""
