"""Names and things as they stand in a sentence: articles, prices, lists, full stops."""

from __future__ import annotations

import re

from app.core.ids import stable_hash
from app.engines.authored.grammar import Grammar
from app.world.scene import Scene, Ware

WARES_TOLD_MAX = 3
"""Goods that are named in one breath."""


def wares_of(wares: tuple[Ware, ...], grammar: Grammar, seed: int) -> str:
    """A few goods with their prices: `an axe for 12 coins and a nail for one coin`."""
    if not wares:
        return ""
    start = stable_hash(seed, "wares") % len(wares)
    told = list(dict.fromkeys(ware_of(ware, grammar) for ware in (wares[start:] + wares[:start])))[:WARES_TOLD_MAX]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} {grammar.terms['and']} {told[-1]}"


def ware_of(ware: Ware, grammar: Grammar) -> str:
    """One thing with its article and price."""
    name = with_article(ware.name, grammar) if ware.name[:1].islower() else ware.name
    price = price_of(ware, grammar)
    return f"{name} {grammar.terms['for']} {price}" if price else name


def price_of(ware: Ware, grammar: Grammar) -> str:
    """`one coin` or `12 coins`; empty for what has no price."""
    if ware.price <= 0.0:
        return ""
    price = grammar.terms["coins_one"] if ware.price == 1.0 else grammar.terms["coins_many"]
    return price.format(count=f"{ware.price:g}")


def with_article(noun: str, grammar: Grammar) -> str:
    """`an innkeeper`; what begins with an article or a number has its own."""
    words = noun.replace("_", " ").split()
    if not words:
        return ""
    if words[0].casefold() in (grammar.terms["article"], grammar.terms["article_vowel"], grammar.terms["the"], "some"):
        return " ".join(words)
    article = grammar.terms["article_vowel" if words[0][0].casefold() in "aeiou" else "article"]
    return " ".join((article, *words) if article else words)


def thing_of(name: str, grammar: Grammar) -> str:
    """A thing that was spoken of: `the rusty sword`, but `Dawnbringer` and `Isolde's purse`."""
    if not name[:1].islower() or not grammar.terms["article"]:
        return name
    has = name.split()[0] in (grammar.terms["article"], grammar.terms["article_vowel"], grammar.terms["the"], "some")
    return name if has else f"{grammar.terms['the']} {name}"


def place_of(name: str, grammar: Grammar) -> str:
    """A place's name as it stands in a sentence: with an article where its last word is a common noun."""
    words = name.casefold().split()
    if not words or words[-1] not in grammar.articled or words[0] == grammar.terms["the"] or "'" in name:
        return name
    return f"{grammar.terms['the']} {name}"


def sentence_of(text: str) -> str:
    """The text with a full stop, if it has no end yet."""
    bare = text.strip()
    return bare if not bare or bare[-1] in ".!?…" else f"{bare}."


def clause_of(text: str) -> str:
    """The text without its full stop."""
    return text.strip().rstrip(".!… ")


def persons_in(clause: str, scene: Scene, grammar: Grammar) -> str:
    """A clause about what happened as the speaker says it to the listener: their names become `I` and `you`."""
    terms = grammar.terms
    clause = _renamed(clause, scene.listener.name, terms["you_subject"], terms["you_object"], terms["your"])
    clause = _renamed(clause, scene.npc.name, terms["i_subject"], terms["i_object"], terms["my"])
    for wrong, right in grammar.agreement.items():
        clause = clause.replace(wrong, right)
    return clause


def _renamed(text: str, name: str, subject: str, other: str, own: str) -> str:
    if not name or name not in text:
        return text
    bare = re.escape(name)
    text = re.sub(rf"\b{bare}['’]s\b", own, text)
    text = re.sub(rf"^{bare}(?= )", subject, text)
    return re.sub(rf"\b{bare}\b", other, text)
