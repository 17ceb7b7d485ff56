"""Grids of cells: from the cells of a map to the arrays that are searched, and the searches."""
