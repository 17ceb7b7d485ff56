"""What is not bound is found in a text, however it is written; what the grammar says is not."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.quests.planning.facts import View
from app.modules.quests.prose.checker import Checker, bound_of, checker_for
from app.modules.quests.prose.grammar import load_grammar
from app.modules.quests.prose.names import Namer
from app.modules.quests.quest import Quest
from app.modules.quests.settings import Settings
from tests.modules.quests.test_prose import made, named
from tests.modules.quests.worlds import load

INVENTED = (
    "Gorbash", "Mirelda", "Tharn", "Quellstrom", "Aldobrand", "Zarbeth", "Krakenholm", "Oswin", "Belmora",
    "Xanthe",
)  # fmt: skip
NUMBERS = {
    "en": (
        "3", "12", "²", "IV", "two", "seven", "twenty", "twenty-five", "hundred", "third", "first", "twice", "dozen",
        "half", "ten", "forty", "ninth", "zwanzig",
    ),
    "de": (
        "3", "12", "½", "VII", "zwei", "sieben", "zwanzig", "fünfundzwanzig", "hundert", "dritten", "erste", "zweimal",
        "Dutzend", "halbe", "zehn", "vierzig", "neunte", "dreihundert", "three",
    ),
}  # fmt: skip
PLANTED = {
    "en": ("{text} Ask {what} too.", "{what} waits there. {text}", "{text} Bring {what} along."),
    "de": ("{text} Frag auch {what}.", "{what} wartet dort. {text}", "{text} Nimm {what} mit."),
}


@cache
def case(seed: int, language: str) -> tuple[Quest, View, Checker] | None:
    quest = made(seed % 6, seed, language)
    if quest is None:
        return None
    view = named(seed % 6)
    return quest, view, checker_for(quest, load_grammar(language), view)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 24), language=st.sampled_from(("en", "de")), at=st.integers(0, 10_000))
def test_an_entity_that_is_not_bound_never_passes(seed: int, language: str, at: int) -> None:
    found = case(seed, language)
    if found is None:
        return
    quest, view, checker = found
    bound = set(bound_of(quest))
    others = [id for table in (view.npcs, view.items, view.locations) for id in table if id not in bound]
    id = others[at % len(others)]
    name = Namer(load_grammar(language), view).plain(id)
    if any(name.partition(" ")[0] == view.name(other).partition(" ")[0] for other in bound):
        return
    text = quest.texts[at % len(quest.texts)].text
    planted = PLANTED[language][at % 3].format(text=text, what=name)
    assert checker.fault(planted), planted
    assert checker.title_fault(planted), planted


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 24),
    language=st.sampled_from(("en", "de")),
    what=st.sampled_from(INVENTED),
    at=st.integers(0, 10_000),
)
def test_an_invented_name_never_passes(seed: int, language: str, what: str, at: int) -> None:
    found = case(seed, language)
    if found is None:
        return
    quest, _, checker = found
    text = quest.texts[at % len(quest.texts)].text
    planted = PLANTED[language][at % 3].format(text=text, what=what)
    assert checker.fault(planted), planted
    naming = {"en": f"{text} Find the man named {what.lower()}.", "de": f"{text} Finde den Mann namens {what.lower()}."}
    assert checker.fault(naming[language])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 24), language=st.sampled_from(("en", "de")), at=st.integers(0, 10_000))
def test_a_number_never_passes(seed: int, language: str, at: int) -> None:
    found = case(seed, language)
    if found is None:
        return
    quest, _, checker = found
    number = NUMBERS[language][at % len(NUMBERS[language])]
    text = quest.texts[at % len(quest.texts)].text
    planted = PLANTED[language][(at // 31) % 3].format(text=text, what=number)
    assert checker.fault(planted), planted


@pytest.mark.parametrize(
    "text", ["Ask Аda.", "Find 𝐆𝐨𝐥𝐝.", "See ｍｅ.", "Go\u200b on.", "Find Ѕilver.", "Look, a Иван."]
)
def test_letters_that_only_look_alike_never_pass(text: str) -> None:
    found = case(3, "en")
    assert found is not None
    assert found[2].fault(text)


def test_a_count_that_the_quest_asks_for_passes_and_no_other() -> None:
    view = named(1)
    checker = Checker(load_grammar(), view, ("hero",), counts=(5,))
    assert checker.fault("Gather herbs. (5×)") == ""
    assert checker.fault("Gather herbs. (6×)")


def test_what_is_bound_passes_in_every_form() -> None:
    view = named(2)
    item = next(iter(view.items))
    npc = next(iter(view.npcs))
    checker = Checker(load_grammar("de"), view, (item, npc))
    namer = Namer(load_grammar("de"), view)
    for form in ("", "a", "d", "to", "at", "from"):
        assert checker.fault(f"Geh {namer.called(npc, form)} und nimm {namer.called(item, form)} mit.") == ""
    english = Checker(load_grammar(), view, (item, npc))
    assert english.fault(f"Take {view.name(npc)}'s gift. The {view.name(item)} will help.") == ""


def test_an_article_before_a_name_calls_nobody_and_the_name_behind_it_somebody() -> None:
    """The city calls its tax collector "der Steuereintreiber" in German."""
    view = View(load("city").state, Settings())
    checker = Checker(load_grammar("de"), view, ("linus", "lantern_inn"))
    assert checker.fault("Der Weg ist weit, die Arbeit ist schwer.") == ""
    assert "Steuereintreiber" in checker.fault("Frag den Steuereintreiber.")
