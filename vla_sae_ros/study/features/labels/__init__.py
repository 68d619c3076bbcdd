"""Labels of features from evidence."""
