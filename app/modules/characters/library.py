"""The data that people are made from: trades, name grammars and texts, read and checked once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import msgspec

from app.core.errors import Broken, nearest

MOTIVES = (
    "knowledge", "comfort", "reputation", "serenity", "protection", "conquest", "wealth", "ability", "equipment",
)  # fmt: skip
"""The nine of Doran and Parberry (2011), as the quests module reads them in `need_<motive>`."""
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""The Big Five (Goldberg 1990)."""
VOICES = ("gruff", "courtly", "merry", "shy", "sly", "scholarly", "warm")
LANGUAGES = ("en", "de")
CHILD = "child"
CHILDHOOD = "childhood"
"""What children want, whatever their needs."""
HOME_CULTURE = {"en": "vale", "de": "tal"}
"""The culture that names come from where a request names none."""

Pair = tuple[str, str]
"""For a woman and for a man."""
Texts = tuple[str, ...]


class Ware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a person of the trade carries."""

    kind: str
    value: float
    en: str
    de: str


class Trade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trade; `level` and `age` are (least, most)."""

    places: Texts
    nature: dict[str, float]
    needs: dict[str, float]
    voices: dict[str, float]
    level: tuple[int, int]
    age: tuple[int, int]
    rises_h: float
    schedule: str
    items: tuple[Ware, ...]
    teaches: str = ""
    unique: bool = False


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A given name is a start and an end."""

    starts: Texts
    ends: Texts


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family name is a first and a second part."""

    firsts: Texts
    seconds: Texts


class Culture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a people is named."""

    female: Parts
    male: Parts
    family: Family


class Any(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts for whoever they fit."""

    any: Texts


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"and_": "and", "selves": "self"}):
    """All that is said in one language, and by whom."""

    articled: Texts
    signs: Texts
    """Last words of the names of houses, before which an article stands however long the name is."""
    and_: str
    titles: dict[str, Pair]
    trade: dict[str, Texts]
    bent: dict[str, Texts]
    family: dict[str, Texts]
    quirks: Any
    wants: dict[str, Any]
    secrets: dict[str, Texts]
    crafts: dict[str, Texts]
    voices: dict[str, Texts]
    traits: dict[str, Texts]
    lines: dict[str, dict[str, Texts]]
    selves: dict[str, Texts]


@dataclass(frozen=True, slots=True)
class Library:
    """Everything that ships."""

    trades: Mapping[str, Trade]
    cultures: Mapping[str, Culture]
    texts: Mapping[str, Text]


def load_library() -> Library:
    """Read and check the shipped data; raises Broken naming what is missing."""
    trades = msgspec.convert(_tree("trades.toml")["trades"], dict[str, Trade])
    cultures = msgspec.convert(_tree("names.toml")["cultures"], dict[str, Culture])
    texts = {language: msgspec.convert(_tree(f"text.{language}.toml"), Text) for language in LANGUAGES}
    for name, trade in trades.items():
        for words, known in ((trade.nature, TRAITS), (trade.needs, MOTIVES), (trade.voices, VOICES)):
            for word in words:
                if word not in known:
                    raise Broken(f"trade {name!r} names {word!r}", hint=nearest(word, known))
    for language, text in texts.items():
        _require(language, "trades", trades, text.titles, text.trade, text.crafts, text.selves)
        _require(language, "motives", (*MOTIVES, CHILDHOOD), text.wants)
        _require(language, "voices", VOICES, text.voices, text.lines)
        _require(language, "traits", [f"{trait}_{end}" for trait in TRAITS for end in ("high", "low")], text.bent)
    return Library(trades=trades, cultures=cultures, texts=texts)


def _tree(name: str) -> dict[str, object]:
    return tomllib.loads((files("app.modules.characters") / "data" / name).read_text(encoding="utf-8"))


def _require(
    language: str, what: str, names: Mapping[str, object] | tuple[str, ...] | list[str], *tables: object
) -> None:
    for table in tables:
        missing = [name for name in names if isinstance(table, dict) and name not in table]
        if missing:
            raise Broken(f"text.{language}.toml has nothing for {what} {missing!r}", hint="add texts for them")
