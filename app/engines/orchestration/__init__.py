"""Which engine writes, for how long, at what price, and what follows when it does not."""
