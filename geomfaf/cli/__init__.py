"""Words typed in a shell go in, one call of the library and its exit code come out."""
