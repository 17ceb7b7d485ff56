"""Open-loop load from processes of its own: the generator that suites H, I and J and the load benchmark use."""
