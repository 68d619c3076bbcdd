"""Small random policies of lerobot's own classes, built without a download."""
