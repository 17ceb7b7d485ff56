"""The parts of the load benchmark: an open-loop generator in processes of its own, and the servers it presses."""
