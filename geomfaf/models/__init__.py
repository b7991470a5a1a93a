"""Windows and folds go in, models that score ground they never saw come out."""
