"""Goal-oriented action planning: every plan of every state worked out ahead, deciding is a look into a table."""
