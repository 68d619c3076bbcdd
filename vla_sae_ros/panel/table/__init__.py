"""The table of features: model, columns, sliders and marks."""
