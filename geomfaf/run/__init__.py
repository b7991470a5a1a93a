"""Geomfaf.toml goes in, a folder of results comes out."""
