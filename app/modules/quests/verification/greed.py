"""What a careless or greedy player could do around a quest: the task that the soft-lock proof searches.

It adds to the quest's own entities whatever could swallow them: a stranger who takes gifts, recipes that use an item
up, places without a way back, foes whose end ends a threat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.modules.quests.planning.domain import Fact, Vocabulary
from app.modules.quests.planning.facts import Focus, Hero, View, compiled, focus
from app.modules.quests.planning.grounding import Problem, Task, grounded_whole
from app.modules.quests.verification.certify import Question

TRAPS_MAX = 2
"""Places without a way back that are looked at; one is as bad as another."""


def exposed(
    vocabulary: Vocabulary,
    view: View,
    hero: Hero,
    questions: Sequence[Question],
    seeds: Sequence[str],
    deeds: Sequence[Fact],
) -> Task:
    """All that can be done about `seeds` and the questions' own, by the whole vocabulary, towards `deeds`."""
    mine = focus(view, hero, (*(seed for question in questions for seed in question.seeds), *seeds))
    about = focus(view, hero, (*mine.places, *mine.npcs, *mine.items, *mine.topics, *_dangers(view, hero, mine, deeds)))
    given = tuple(dict.fromkeys(fact for question in questions for fact in question.given))
    problem = compiled(view, hero, about=about, schemas=vocabulary.without(()), goals=tuple(deeds), given=given)
    if _two_way(problem) and all(deed[0] != "escorted" for deed in deeds):
        problem = replace(problem, schemas=tuple(each for each in problem.schemas if each.name != "escort"))
    problem = _threatened(problem, tuple(_threats(view, hero, about, problem)))
    return grounded_whole(problem, operators_max=view.settings.operators_max)


def _two_way(problem: Problem) -> bool:
    """Whether every way leads both ways: then to lead somebody about, who is not asked for, is to walk and no more."""
    paths = {fact[1:] for fact in problem.init if fact[0] == "path"}
    start = next((fact[1] for fact in problem.init if fact[0] == "here"), "")
    return ("open", start) in problem.init and all((there, here) in paths for here, there in paths)


def renewing(view: View, ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that come back by themselves, or of whose kind something does that is as good."""
    return frozenset(id for id in ids if _renews(view, id))


def _renews(view: View, id: str) -> bool:
    npc, item = view.npcs.get(id), view.items.get(id)
    if npc is not None:
        return view.respawns(npc)
    return item is not None and (view.respawns(item) or (view.wild(item) and item.item_kind in view.renewing_kinds))


def _dangers(view: View, hero: Hero, mine: Focus, deeds: Sequence[Fact]) -> Iterator[str]:
    if mine.items:
        yield from _stranger(view, hero, mine)
        for recipe in view.recipes.values():
            if any(id in mine.items for slot in recipe.parts for id in slot):
                yield recipe.item
    for place in [deed[1] for deed in deeds if deed[0] == "defended"]:
        if not view.said_threatened(place):
            yield from view.foes_near(place, hero.entity)
    yield from view.traps(hero.place, hero.level)[:TRAPS_MAX] if hero.place else ()


def _stranger(view: View, hero: Hero, mine: Focus) -> Iterator[str]:
    """Someone who takes what is given and does not sell it again, if the quest does not know such a one already."""
    reach = view.walk(hero.place, hero.level) if hero.place else {}
    for npc in view.npcs.values():
        takes = npc.alive and view.friendly(npc, hero.entity) and not view.deals(npc)
        if takes and npc.id not in mine.npcs and view.place_of(npc) in reach:
            yield npc.id
            return


def _threats(view: View, hero: Hero, about: Focus, problem: Problem) -> Iterator[Fact]:
    """Foes by which a place is threatened, where nothing else threatens it."""
    if not any(goal[0] == "defended" for goal in problem.goals):
        return
    for place in about.places:
        if not view.said_threatened(place):
            yield from (("threatens", foe, place) for foe in view.foes_near(place, hero.entity) if foe in about.npcs)


def _threatened(problem: Problem, threats: Sequence[Fact]) -> Problem:
    """The problem in which a place is threatened as long as one of its foes lives and is free."""
    if not threats:
        return problem
    places = {place for _, _, place in threats}
    init = [fact for fact in problem.init if fact[0] != "threatened" or fact[1] not in places]
    schemas = list(problem.schemas)
    for schema in problem.schemas:
        if schema.name == "defend":
            foe, place = len(schema.params), schema.params.index("location")
            kept = tuple(pattern for pattern in schema.pre if pattern[0] != "threatened")
            needs = (("threatens", foe, place), ("alive", foe), ("free", foe))
            schemas.append(replace(schema, params=(*schema.params, "foe"), pre=(*needs, *kept)))
    return replace(problem, init=(*init, *threats), schemas=tuple(schemas))
