"""The window: its layout, status line, tools and shortcuts."""
