"""Parts of the behavior benchmark, one for each kind of authored brain."""
