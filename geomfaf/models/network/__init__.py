"""Encoded windows go in, a trained network comes out: the only room with torch at its heart."""
