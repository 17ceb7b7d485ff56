"""Smaller and quicker networks from a trained one, each measured beside it; needs the extra `train`."""
