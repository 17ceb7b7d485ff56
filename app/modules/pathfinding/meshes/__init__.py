"""Navmeshes: from convex polygons to the arrays that are searched, and the searches."""
