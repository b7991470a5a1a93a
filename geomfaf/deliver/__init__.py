"""Scores and a survey go in; what people open comes out: targets, layers, figures, the report."""
