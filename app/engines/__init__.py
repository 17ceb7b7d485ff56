"""What computes: networks, cloud models, authored lines; the only code that imports their libraries."""
