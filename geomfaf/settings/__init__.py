"""Every setting once: what it is, its default and range, and what refuses another value."""
