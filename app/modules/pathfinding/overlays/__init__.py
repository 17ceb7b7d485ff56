"""Learned costs: which ground is deadly or jammed, from what happened there. Plain numpy, no kernels."""
