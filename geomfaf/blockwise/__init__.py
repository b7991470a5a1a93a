"""Work cut into blocks: on threads or a Dask cluster, into memory or into files larger than memory."""
