"""What an item is called in each language.

English puts an adjective before the noun. German joins it to the noun: a compound keeps the noun's gender and no
case bends its first part, so the name is right with any article. It knows the tables and no world.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.modules.content.items.tables import Gender, Tables

LANGUAGES = ("en", "de")
_ARTICLES: Mapping[Gender, tuple[str, str]] = {"m": ("der", "ein"), "f": ("die", "eine"), "n": ("das", "ein")}


def names_of(tables: Tables, kind: str, prefix: str, suffix: str) -> dict[str, str]:
    """The names of an item with these affixes; an empty one is none."""
    noun = tables.kinds[kind]
    before, after = tables.prefixes.get(prefix), tables.suffixes.get(suffix)
    english = " ".join(word for word in (before.en if before else "", noun.en, after.en if after else "") if word)
    german = noun.de[0] if before is None else before.de + noun.de[0].lower()
    return {"en": english, "de": f"{german} {after.de}" if after else german}


def proper_names(tables: Tables, group: str, root: int, ending: int) -> dict[str, str]:
    """The proper name of something that there is only one of."""
    names, endings = tables.names, tables.names.endings[group]
    return {
        "en": names.roots_en[root] + endings.en[ending],
        "de": names.roots_de[root] + endings.de[ending],
    }


def key_names(place: str) -> dict[str, str]:
    """A key by the name of what it opens; in German it is quoted, since a quoted name stays as it is."""
    return {"en": f"key to {place}", "de": f"Schlüssel zu „{place}“"}


def with_article(name: str, gender: Gender, language: str, *, definite: bool) -> str:
    """The name with its article in the nominative; a name with a capital in English is a proper one and takes none."""
    if language == "de":
        return f"{_ARTICLES[gender][0 if definite else 1]} {name}"
    if name[:1].isupper():
        return name
    return f"the {name}" if definite else f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"
