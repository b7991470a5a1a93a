"""Where a cell lies, what a band is, and how rasters are stored and processed block by block."""
