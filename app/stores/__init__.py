"""What remembers: the only code that speaks SQLAlchemy."""
