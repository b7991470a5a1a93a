"""Files of any kind go in, one clean survey in metres comes out."""
