"""The control plane: tenants, keys and tokens, as plain functions and small classes."""
