"""A model, its folds and the deposits go in; how good the map is on ground it never saw
comes out.
"""
