"""Samples and blocks of cells go in, interpolated blocks come out: the compiled kernels behind
inverse_distance.
"""
