"""The feature store: what events say about players and NPCs, as vectors for models.

`view` declares features, `table` folds events into them, `packed` is one value an entity for a shared
server, `live` follows the log, `history` keeps Parquet, `pointintime` and `transform` read it.
"""
