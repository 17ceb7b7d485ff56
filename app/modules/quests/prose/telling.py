"""All texts of a quest at once, each with its stable id: told when it is made or mended, retold in other languages.

Texts follow from the quest's own parts, so it needs nothing of how the quest was found. A text that the quest has
already is kept, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from app.modules.quests.draft import Draft
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import Grammar, grammar_for
from app.modules.quests.prose.heard import Heard
from app.modules.quests.prose.tone import known
from app.modules.quests.prose.writer import Facts, Template, Writer, roles_of, symbol_of
from app.modules.quests.quest import MAIN, Branch, Certificate, Failure, Goal, Quest, QuestText, Step

HERE = frozenset({"take", "gather"})
"""Actions that have a text of their own for where the player has just been led."""


def told(
    quest: Quest,
    view: View,
    grammar: Grammar,
    *,
    heard: Heard | None = None,
    own: frozenset[str] = frozenset(),
) -> Quest:
    """The quest with a text for every part that has none yet, or whose text is not the one noted for it.

    `heard` is what was said of late and learns what is said now; `own` are an author's texts, which stay. Raises
    Broken where the grammar lacks a rule.
    """
    so = known(view, quest.giver, quest.player, quest.motive)
    writer = Writer(grammar, view, quest.certificate.seed, heard=heard, so=so, names=quest.names)
    return _Telling(quest, writer, keep=True, own=own).done(grammar.language)


def retold(quest: Quest, language: str, view: View) -> Quest:
    """The same quest in another language, from the templates of its texts; what an author or a model wrote stays.

    The same quest gives the same words each time. A model's text is told by the grammar, as its template says.
    """
    grammar = grammar_for(language)
    if grammar.language == quest.language:
        return quest
    writer = Writer(grammar, view, quest.certificate.seed, names=quest.names)
    return _Telling(quest, writer, keep=False, own=frozenset()).done(grammar.language)


def own_words(draft: Draft) -> frozenset[str]:
    """Every text that an author wrote, for `told` to keep."""
    steps = (*draft.steps, *(step for branch in draft.branches for step in branch.steps))
    texts = (
        draft.title,
        draft.description,
        *(step.text for step in steps),
        *(branch.text for branch in draft.branches),
        *(failure.text for failure in draft.failures),
    )
    return frozenset(filter(None, texts))


class _Telling:
    """One pass over the parts of a quest."""

    def __init__(self, quest: Quest, writer: Writer, *, keep: bool, own: frozenset[str]) -> None:
        self._quest = quest
        self._writer = writer
        self._keep = keep
        self._own = own
        self._before = {text.id: text for text in quest.texts}
        self._texts: dict[str, QuestText] = {}

    def done(self, language: str) -> Quest:
        """The quest with all its texts."""
        quest, spoken = self._quest, {**self._quest.roles, "giver": self._quest.giver, "player": self._quest.player}
        deeds = tuple(goal.deed for goal in quest.goals)
        story = quest.strategy
        title = self._said("title", quest.title, f"strategies.{story}.titles" if story else "", spoken, deeds)
        plea = self._said("plea", quest.description, "plea" if story else "", spoken, deeds)
        steps = self._steps("", quest.steps)
        goals = self._goals("", quest.goals, steps)
        branches = tuple(self._branch(branch, spoken) for branch in quest.branches)
        certificate = self._certificate(quest.certificate, spoken)
        reason = self._said("reason", quest.reason, "", spoken, ()) if quest.reason else ""
        texts = self._texts
        named = (id for text in texts.values() for id in text.entities)
        names = quest.names | self._writer.names(dict.fromkeys((*named, *quest.roles.values())))
        written = tuple(texts[id].template for id in ("title", "plea") if id in texts and texts[id].template)
        return msgspec.structs.replace(
            quest, title=title, description=plea, text_ids=written, steps=steps, goals=goals, branches=branches,
            certificate=certificate, reason=reason, language=language, texts=tuple(texts.values()),
            names=names,
        )  # fmt: skip

    def _said(self, id: str, shown: str, symbol: str, roles: Mapping[str, str], facts: Facts) -> str:
        """The text of one part. Without a symbol it is somebody's own and stays."""
        before = self._before.get(id)
        valid = before is not None and before.text == shown
        if before is not None and valid and (self._keep or not before.template):
            found = before
        elif before is not None and valid:
            found = self._writer.again(id, Template.read(before.template), roles, before.facts)
        elif shown in self._own:
            found = QuestText(id=id, template="", text=shown)
        elif symbol == "plea":
            found = self._writer.plea(id, self._quest.strategy, self._quest.motive, roles, facts)
        elif symbol:
            found = self._writer.text(id, symbol, roles, facts)
        else:
            return shown
        self._texts[id] = found
        return found.text

    def _steps(self, prefix: str, steps: Iterable[Step]) -> tuple[Step, ...]:
        """Steps say "there" of where the one before leads, and need not name whom the player comes back to."""
        shown: list[Step] = []
        for step in steps:
            id, before = f"{prefix}step.{step.id}", shown[-1] if shown else None
            symbol = self._symbol(step, before)
            known = self._before.get(id)
            if known is not None and known.template and not known.template.startswith(f"{symbol}#"):
                del self._before[id]
            text = self._said(id, step.text, symbol, self._roles(step), (step.deed,))
            shown.append(msgspec.structs.replace(step, text=text))
        return tuple(shown)

    def _symbol(self, step: Step, before: Step | None) -> str:
        """The rule of a step's text where it stands; what is a goal is said in full, for it may stand alone."""
        usual, event, giver = symbol_of(step.action, step.event), step.event, self._quest.giver
        if step.action == "goto" and not step.goal and before is not None:
            return f"{usual}_back" if event.location == self._writer.place(giver) else usual
        if (step.action, giver) in (("report", event.actor), ("give", event.target)):
            return f"{usual}_back"
        led = before is not None and before.action == "goto" and before.event.location == event.location
        return f"{usual}_here" if led and step.action in HERE and not step.goal else usual

    def _roles(self, step: Step) -> dict[str, str]:
        return {**roles_of(step.action, step.event), "giver": self._quest.giver, "player": self._quest.player}

    def _goals(self, prefix: str, goals: Sequence[Goal], steps: Sequence[Step]) -> tuple[Goal, ...]:
        """A goal is worded as the step that reaches it; how many are wanted is shown behind."""
        shown = []
        for at, goal in enumerate(goals):
            id = f"{prefix}goal.{at}"
            step = _reaching(goal, steps)
            before = self._before.get(id)
            if before is not None and not before.template and before.text == goal.text:
                self._texts[id] = before
            elif before is None and goal.text in self._own:
                self._texts[id] = QuestText(id=id, template="", text=goal.text)
            elif step is not None and (source := self._texts.get(f"{prefix}step.{step.id}")) is not None:
                self._texts[id] = msgspec.structs.replace(source, id=id, text=source.text + _count(goal))
            elif before is not None and before.template:
                self._texts[id] = before
            shown.append(msgspec.structs.replace(goal, text=self._texts[id].text) if id in self._texts else goal)
        return tuple(shown)

    def _branch(self, branch: Branch, spoken: Mapping[str, str]) -> Branch:
        prefix = f"branch.{branch.id}."
        steps = self._steps(prefix, branch.steps)
        before = self._before.get(f"branch.{branch.id}")
        rule = f"{branch.id}_kill" if branch.id == "no_steal" and _kills(branch) else branch.id
        own = bool(self._quest.strategy) and branch.id != MAIN  # nothing sets the first way apart
        symbol = f"branches.{rule}" if own and (before is not None or not branch.text) else ""
        text = self._said(f"branch.{branch.id}", branch.text, symbol, spoken, ())
        return self._with(branch, text, prefix, steps)

    def _with(self, branch: Branch, text: str, prefix: str, steps: tuple[Step, ...]) -> Branch:
        return msgspec.structs.replace(branch, text=text, steps=steps, goals=self._goals(prefix, branch.goals, steps))

    def _certificate(self, certificate: Certificate, spoken: Mapping[str, str]) -> Certificate:
        failures = tuple(self._failure(at, failure, spoken) for at, failure in enumerate(certificate.failures))
        return msgspec.structs.replace(certificate, failures=failures)

    def _failure(self, at: int, failure: Failure, spoken: Mapping[str, str]) -> Failure:
        id, who = f"failure.{at}", failure.fact[1] if len(failure.fact) > 1 else ""
        fresh = f"failures.{failure.cause}" if who and not failure.text else ""
        text = self._said(id, failure.text, fresh, {**spoken, "who": who}, (failure.fact,))
        return msgspec.structs.replace(failure, text=text)


def _kills(branch: Branch) -> bool:
    return any(step.action == "kill" for step in branch.steps)


def worded(quest: Quest, said: Mapping[str, str]) -> Quest:
    """The quest with a model's texts in the place of its own, by id; goals follow the steps that reach them."""
    texts = {text.id: text for text in quest.texts}
    for id, text in said.items():
        texts[id] = msgspec.structs.replace(texts[id], text=text)
    branches = tuple(
        _reworded_way(branch, f"branch.{branch.id}.", texts, said, text=said.get(f"branch.{branch.id}", branch.text))
        for branch in quest.branches
    )
    main = _reworded_way(quest, "", texts, said)
    shown = {field: texts[id].text for field, id in (("title", "title"), ("description", "plea")) if id in texts}
    return msgspec.structs.replace(main, branches=branches, texts=tuple(texts.values()), ai_generated=True, **shown)


Way = TypeVar("Way", Quest, Branch)


def _reworded_way(way: Way, prefix: str, texts: dict[str, QuestText], said: Mapping[str, str], **changes: str) -> Way:
    steps = tuple(
        msgspec.structs.replace(step, text=said.get(f"{prefix}step.{step.id}", step.text)) for step in way.steps
    )
    goals = []
    for at, goal in enumerate(way.goals):
        id = f"{prefix}goal.{at}"
        step = _reaching(goal, steps)
        if step is not None and f"{prefix}step.{step.id}" in said and id in texts:
            goal = msgspec.structs.replace(goal, text=step.text + _count(goal))
            texts[id] = msgspec.structs.replace(texts[id], text=goal.text)
        goals.append(goal)
    return msgspec.structs.replace(way, steps=steps, goals=tuple(goals), **changes)


def _count(goal: Goal) -> str:
    return f" ({goal.count}×)" if goal.count > 1 else ""


def _reaching(goal: Goal, steps: Sequence[Step]) -> Step | None:
    """The step that reaches a goal: the one of that deed, or the needed one that deals with the same thing."""
    exact = next((step for step in steps if step.deed == goal.deed), None)
    about = goal.deed[1] if len(goal.deed) > 1 else ""
    return exact or next((step for step in steps if step.goal and about in step.deed[1:]), None)
