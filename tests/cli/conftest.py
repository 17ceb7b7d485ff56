"""The databases of the stores' tests, for verbs that work on a database."""

from tests.stores.conftest import opened, url

__all__ = ["opened", "url"]
