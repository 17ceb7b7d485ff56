"""Work that can wait: vendors' batches where they exist, else one line after another."""
