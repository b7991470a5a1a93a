"""A survey and a grid go in, the stack of evidence bands comes out."""
