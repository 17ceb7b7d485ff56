"""`manage.py prove`: suites that kill, break and restore real servers, and the figures that they reach."""
