"""The shared stores over the Redis protocol: DragonflyDB, Redis and Valkey; see decision 0010."""
