"""Judges what others made: items against budgets, facts against canon, sentences against the facts they cite. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.modules.content import messages
from app.modules.content.items.judging import judge
from app.modules.content.logic import Library
from app.modules.content.lore.canon import WORLD, Canon, Held, contradictions, key_of
from app.modules.content.lore.citing import Checker
from app.world.entities import Fact, Item
from app.world.lore import is_lore
from app.world.state import World


def checked(library: Library, world: World, request: messages.Check) -> messages.Checked:
    """Every finding of a request; sentences may cite the facts that stand beside them."""
    findings = (
        *_items(library, world, request),
        *_facts(library, world, request),
        *_sentences(library, world, request),
    )
    return messages.Checked(ok=not any(one.level == "error" for one in findings), findings=findings)


def _items(library: Library, world: World, request: messages.Check) -> Iterator[messages.Finding]:
    items = [_item(draft) for draft in request.items]
    for item, level, rule, reason in judge(library.items, items, world.state.items, world.state.locations):
        yield messages.Finding(of=item, level="error" if level == "error" else "warning", rule=rule, reason=reason)


def _facts(library: Library, world: World, request: messages.Check) -> Iterator[messages.Finding]:
    for fact, reason in contradictions(world, library.lore, [_fact(draft) for draft in request.facts]):
        key = key_of(fact.subject, fact.predicate)
        yield messages.Finding(of=key, level="error", rule="canon", reason=reason)
    for draft in request.facts:
        if world.entity(draft.subject) is None and draft.subject != WORLD and not is_lore(draft.subject):
            reason = f"nothing in the world is called {draft.subject!r}"
            yield messages.Finding(
                of=key_of(draft.subject, draft.predicate), level="warning", rule="subject", reason=reason
            )


def _sentences(library: Library, world: World, request: messages.Check) -> Iterator[messages.Finding]:
    canon = Canon(world, library.lore)
    for draft in request.facts:
        canon.add(_fact(draft))
    facts: dict[str, Held] = {}
    for claim in request.sentences:
        for key in claim.cites:
            subject, _, predicate = key.rpartition(" ")
            if (held := canon.get(subject, predicate)) is not None:
                facts[key] = held
    checker = Checker(world, library.lore.language(request.language), facts)
    for number, claim in enumerate(request.sentences):
        if reason := checker.fault(claim.text, claim.cites):
            yield messages.Finding(of=str(number), level="error", rule="cites", reason=reason)


def _item(draft: messages.ItemDraft) -> Item:
    return Item(
        id=draft.id, name=draft.name, item_kind=draft.item_kind, value=draft.value, tags=draft.tags,
        attributes=draft.attributes,
    )  # fmt: skip


def _fact(draft: messages.FactDraft) -> Fact:
    return Fact(subject=draft.subject, predicate=draft.predicate, value=draft.value, known_by=draft.known_by)
