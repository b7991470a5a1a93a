"""A run's folder goes in; figures for print come out: PNG and SVG with scale, north and a grid."""
