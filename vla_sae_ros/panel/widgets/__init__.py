"""Small Qt pieces that several views use."""
