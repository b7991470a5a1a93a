"""The engines behind :mod:`geomfaf.idw`: neighbours, far field, barriers, cross-validation, streaming, Dask."""
