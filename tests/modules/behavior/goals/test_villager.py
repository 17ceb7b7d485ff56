"""The villager that ships, as its player sees it, and goals that cannot be read."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.behavior.goals import brain
from app.modules.behavior.goals.brain import Explanation, Goals
from app.modules.behavior.schema import NONE
from app.modules.behavior.trees.memory import Outcome
from app.modules.behavior.trees.spots import Status
from tests.modules.behavior.stage import LAYOUT

DAY = {"slot0_distance": 500.0, "energy": 1.0, "gold": 200.0, "home_distance": 50.0}
VILLAGER = brain.shipped("villager", LAYOUT)
HANDLE = np.zeros(1, np.uint32)


def decide(goals: Goals = VILLAGER, forbid: tuple[str, ...] = (), **features: float) -> tuple[str, str, int]:
    obs, mask, out = LAYOUT.encode([features]), np.ones((1, 12), np.uint8), Outcome.of(1)
    mask[0, [LAYOUT.intent_index[name] for name in forbid]] = 0
    goals.tick(obs, mask, HANDLE, goals.memory(1), 1, 1, 0.1, out, 0, 1)
    intent = int(out.intents[0])
    return Status(out.status[0]).name, LAYOUT.intent_names[intent] if intent != NONE else "", int(out.targets[0])


def explain(goals: Goals = VILLAGER, forbid: tuple[str, ...] = (), **features: float) -> Explanation:
    obs, mask = LAYOUT.encode([features])[0], np.ones(12, np.uint8)
    mask[[LAYOUT.intent_index[name] for name in forbid]] = 0
    return goals.explain(obs, mask, 0, goals.memory(1).take(HANDLE), 1, 1, 0.1)


def test_a_content_villager_is_unsure_of_what_to_want() -> None:
    assert decide(**DAY) == ("SUCCESS", "", NONE)


def test_a_hungry_villager_works_for_its_food_and_eats_what_it_has() -> None:
    assert decide(**DAY, hunger=0.8) == ("RUNNING", "work", NONE)
    assert decide(**DAY, hunger=0.8, stock=2) == ("RUNNING", "eat", NONE)
    told = explain(**DAY, hunger=0.8)
    assert [name for name, _ in told.plan] == ["make goods", "eat from the basket"]
    assert sum(cost for _, cost in told.plan) == 7
    assert not told.facts["fed"]


def test_at_night_it_sleeps_first_since_nobody_makes_goods_in_the_dark() -> None:
    told = explain(**DAY, hunger=0.8, is_night=1)
    assert [name for name, _ in told.plan] == ["go home", "sleep until morning", "make goods", "eat from the basket"]


def test_danger_comes_before_hunger_and_the_other_goals_are_weighed_aloud() -> None:
    danger = {"slot0_hp": 1, "slot0_threat": 0.8, "slot0_distance": 10.0}
    assert decide(**DAY | danger, hunger=0.8) == ("RUNNING", "flee", 0)
    verdicts = {goal.name: goal.verdict for goal in explain(**DAY | danger, hunger=0.8).goals}
    assert verdicts == {
        "be safe": "chosen", "be fed": "outweighed", "be rested": "reached", "be rich": "reached",
        "be home at night": "not wanted",
    }  # fmt: skip


def test_a_seller_aims_at_the_trader_and_looks_for_one_where_none_is() -> None:
    poor = DAY | {"gold": 5.0, "stock": 6}
    buyer = {"slot2_hp": 1, "slot2_distance": 3, "slot3_hp": 1, "slot3_trades": 1, "slot3_distance": 9}
    assert decide(**poor, **buyer) == ("RUNNING", "trade", 3)
    assert decide(**poor) == ("RUNNING", "wander", NONE)


def test_a_forbidden_first_action_lets_the_next_goal_lead() -> None:
    tired = DAY | {"hunger": 0.9, "stock": 2, "energy": 0.2, "home_distance": 1.0}
    assert decide(**tired)[1] == "eat"
    assert decide(**tired, forbid=("eat",))[1] == "rest"
    told = explain(**tired, forbid=("eat",))
    assert [(goal.name, goal.verdict) for goal in told.goals][1:3] == [("be fed", "forbidden"), ("be rested", "chosen")]


FILE = msgspec.json.decode(msgspec.json.encode(VILLAGER.authored))


def changed(**parts: object) -> bytes:
    return msgspec.json.encode({**FILE, **parts})


def test_an_unreachable_goal_says_so_and_the_next_one_leads() -> None:
    goals = [
        {"name": "fly", "wants": {"safe": False, "fed": True, "day": False}, "weight": 5.0},
        {"name": "eat", "wants": {"fed": True}},
    ]
    odd = brain.compile_goals(changed(goals=goals), LAYOUT, format="json")
    assert decide(odd, **DAY, hunger=0.8, stock=2)[1] == "eat"
    told = explain(odd, **DAY, hunger=0.8, stock=2)
    assert [(goal.verdict, goal.cost) for goal in told.goals] == [("out of reach", None), ("chosen", 2)]
    alone = brain.compile_goals(changed(goals=goals[:1]), LAYOUT, format="json")
    assert decide(alone, **DAY, hunger=0.8) == ("FAILURE", "", NONE)


def test_a_goal_of_other_roles_is_not_pursued() -> None:
    goals = [{"name": "guard", "wants": {"fed": True}, "roles": ["guard"]}]
    only = brain.compile_goals(changed(goals=goals), LAYOUT, format="json")
    assert decide(only, **DAY, hunger=0.8, is_villager=1) == ("SUCCESS", "", NONE)
    assert decide(only, **DAY, hunger=0.8, is_guard=1)[1] == "work"


@pytest.mark.parametrize(
    ("parts", "said", "hint"),
    [
        ({"goals": [{"name": "g", "wants": {"feed": True}}]}, "goal 'g' names the unknown fact 'feed'", "'fed'"),
        ({"goals": [{"name": "g", "wants": {"fed": True}, "roles": ["gard"]}]}, "role 'gard'", "'guard'"),
        ({"goals": [{"name": "g", "wants": {"fed": True}, "when": [["hp", 1, 1]]}]}, "without width", "differ"),
        ({"goals": [{"name": "g", "wants": {"fed": True}, "when": [["hpp", 1, 0]]}]}, "no feature 'hpp'", "'hp'"),
        ({"goals": [{"name": "g", "wants": {}}]}, "cannot be read", ""),
        ({"actions": [{"name": "a", "intent": "dance", "effects": {"fed": True}}]}, "intent 'dance'", ""),
        ({"actions": [{"name": "a", "intent": "eat", "effects": {"fed": True}, "cost": 0}]}, "cannot be read", ""),
        ({"actions": [{"name": "a", "intent": "eat", "effects": {"fed": True}, "must_aim": True}]}, "aims at", "leave"),
        (
            {"actions": [{"name": "a", "intent": "eat", "needs": {"fed": True}, "effects": {"fed": True}}]},
            "changes nothing", "needs",
        ),
        ({"facts": {"fed": "hungr > 1"}}, "wrong at fact 'fed': the unknown name 'hungr'", "'hunger'"),
        ({"facts": {f"f{number}": "hp > 0.5" for number in range(17)}}, "cannot be read", ""),
        ({"schema": "space"}, "for schema 'space'", "open_world"),
        ({"about": "x" * 300_000}, "bytes", "at most"),
    ],
)  # fmt: skip
def test_wrong_goals_are_refused_with_the_place_and_the_nearest_name(
    parts: dict[str, object], said: str, hint: str
) -> None:
    with pytest.raises(Invalid) as caught:
        brain.compile_goals(changed(**parts), LAYOUT, format="json")
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_goals_that_do_not_ship_name_the_nearest() -> None:
    with pytest.raises(Invalid) as caught:
        brain.shipped("vilager", LAYOUT)
    assert caught.value.hint == "did you mean 'villager'?"
