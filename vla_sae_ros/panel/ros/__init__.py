"""The panel's connection to ROS: subscriptions, requests and cameras on a thread of their own."""
