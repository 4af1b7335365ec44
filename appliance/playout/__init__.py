"""Screen, status card and speaker adapters, and lip sync."""
