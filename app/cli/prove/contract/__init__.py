"""Suite B: the wire as nobody should use it. Tables of cases, raw clients that send them, and who judges."""
