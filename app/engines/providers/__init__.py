"""The cloud engines: one module for each vendor, over what all of them share."""
