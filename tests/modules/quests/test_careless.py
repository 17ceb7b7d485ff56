"""Careless players against the certificates of generated quests, in the eight worlds."""

from __future__ import annotations

import random

import msgspec
import pytest

from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from benchmarks.questing.journeys import journey, walked
from tests.modules.quests.worlds import NAMES, load

LIBRARY = Library(load_vocabulary(), load_strategies(), load_grammar())
SEEDS = 12


@pytest.mark.parametrize("name", NAMES)
def test_what_a_careless_player_loses_is_what_the_certificate_declares(name: str) -> None:
    gone = [journey(LIBRARY, name, seed) for seed in range(SEEDS)]
    assert [one.why for one in gone if one.why] == []
    assert [one.lost for one in gone if one.lost] == []
    proved = [one.quest for one in gone if one.quest is not None]
    assert len(proved) > SEEDS // 2
    assert sum("V4" in quest.certificate.checks for quest in proved) > len(proved) // 2


def test_the_careless_do_lose_quests_whose_certificate_declares_nothing() -> None:
    view = View(load("salt_harbor").state, Settings())
    lost = 0
    for seed in range(SEEDS):
        quest = journey(LIBRARY, "salt_harbor", seed).quest
        if quest is not None:
            bare = msgspec.structs.replace(quest.certificate, failures=())
            boast = msgspec.structs.replace(quest, certificate=bare)
            lost += any(walked(LIBRARY, view, boast, random.Random(turn)) != "" for turn in range(6))
    assert lost > 0
