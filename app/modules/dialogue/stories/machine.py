"""Plays a story: a run and what was chosen in, a beat and the next run out. Pure: same run, same view, same beat.

Everything is bounded: steps, frames, lines, text, choices. A story that goes wrong stops where it does, and the beat
says so; nothing is raised but for a choice that is not open. It does not know syntax, models or the gate.
"""

from __future__ import annotations

import random

import msgspec

from app.core.errors import Invalid
from app.core.ids import stable_hash
from app.modules.dialogue.stories import outlet, values
from app.modules.dialogue.stories.evaluating import Evaluator
from app.modules.dialogue.stories.functions import Tools, View
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Act,
    Beat,
    Choice,
    Constant,
    Divert,
    End,
    Expr,
    Frame,
    Offer,
    Return,
    Run,
    Step,
    Story,
    Target,
    Wait,
    Wanted,
)
from app.modules.dialogue.stories.values import Fault


def begin(story: Story, *, node: str = "", seed: int = 0) -> Run:
    """A run that stands before its first step, at `node` or where the story starts; raises Invalid for no such node."""
    entry = node or story.start
    if entry not in story.nodes:
        raise Invalid(f"story {story.name!r} has no node {entry!r}", hint="see manage.py stories check")
    first = Choice(text="", frames=(Frame(node=entry),))
    return Run(
        story=story.name, digest=story.digest, seed=seed, turn=-1, variables=dict(story.variables), choices=(first,)
    )


def again(story: Story, run: Run, *, node: str = "") -> Run:
    """The run before its first step again; what it counted and set stays, as far as the story still has it."""
    fresh = begin(story, node=node, seed=run.seed)
    kept = {name: run.variables[name] for name in fresh.variables if name in run.variables}
    return msgspec.structs.replace(
        fresh,
        turn=run.turn,
        drawn=run.drawn,
        variables={**fresh.variables, **kept},
        visits=run.visits,
        seen=run.seen,
        thread=run.thread,
    )


def step(story: Story, run: Run, view: View, limits: Limits) -> Beat:
    """The first beat of a run that `begin` or `again` made."""
    return choose(story, run, 0, view, limits)


def choose(story: Story, run: Run, number: int, view: View, limits: Limits) -> Beat:
    """The beat after the open choice of that number, counted from 0; raises Invalid where there is none such."""
    if not 0 <= number < len(run.choices):
        raise Invalid(f"choice {number!r} is not open", hint=f"{len(run.choices)} choices are, counted from 0")
    return _Machine(story, run, view, limits).played(run.choices[number])


class _Mutable:
    """A frame while it runs."""

    __slots__ = ("at", "node", "temps", "tunnel")

    def __init__(self, frame: Frame) -> None:
        self.node, self.at, self.temps, self.tunnel = frame.node, frame.at, dict(frame.temps), frame.tunnel

    def frozen(self) -> Frame:
        return Frame(node=self.node, at=self.at, temps=dict(self.temps), tunnel=self.tunnel)


class _Stopped(Exception):
    """The flow ends here."""


class _Machine(Evaluator):
    """One turn."""

    def __init__(self, story: Story, run: Run, view: View, limits: Limits) -> None:
        self._random = random.Random(stable_hash(run.seed, run.drawn, run.turn))  # noqa: S311  # a repeatable draw
        self._drawn = run.drawn
        super().__init__(story, limits, Tools(view, self._draw), run)
        self._run = run
        self._threads: list[list[_Mutable]] = []
        self._open: list[Choice] = []
        self._fallback: Choice | None = None
        self._acts: list[Wanted] = []
        self._faults: list[str] = []
        self._over: str = "done"

    def played(self, choice: Choice) -> Beat:
        self.turn += 1
        taken: Choice | None = choice
        try:
            while taken is not None:
                self._take(taken)
                self._flow()
                taken = self._fallback if not self._open and self._over == "done" else None
                self._fallback = None
        except Fault as fault:
            self._faults.append(str(fault))
            self._open.clear()
        lines, cut = outlet.lines(self.out, self.story.syntax, self.limits.lines_max)
        self._faults += cut
        run = msgspec.structs.replace(
            self._run,
            digest=self.story.digest,
            turn=self.turn,
            drawn=self._drawn,
            variables=self.variables,
            visits=self.visits,
            seen=self.seen,
            choices=tuple(self._open),
            over="" if self._open else self._over,
        )
        return Beat(run=run, lines=lines, acts=tuple(self._acts), faults=tuple(self._faults))

    def _draw(self) -> float:
        self._drawn += 1
        return self._random.random()

    def _take(self, choice: Choice) -> None:
        frames = [_Mutable(frame) for frame in choice.frames if frame.node in self.story.nodes]
        if len(frames) != len(choice.frames) or not frames:
            raise Fault("a node that the run stood in is gone from the story")
        self._threads = [frames]
        if choice.key:
            self.visits[choice.key] = self.visits.get(choice.key, 0) + 1
        if frames[-1].at == 0:
            self.visit(frames[-1].node, choice.origin)

    def _flow(self) -> None:
        """Run until nothing is left to do or the player is asked."""
        try:
            while self._threads:
                self.spend()
                frame = self._threads[-1][-1]
                steps = self.story.nodes[frame.node].steps
                if frame.at >= len(steps):
                    self._fall_off(frame)
                    continue
                frame.at += 1
                self._do(frame, steps[frame.at - 1])
        except _Stopped:
            self._threads.clear()

    def _fall_off(self, frame: _Mutable) -> None:
        """The steps of a node are at their end: the thread is, too."""
        self._leave(frame)
        stack = self._threads[-1]
        if self.story.syntax == "yarn" and frame.tunnel and len(stack) > 1:
            stack.pop()
            return
        self._threads.pop()

    def _leave(self, frame: _Mutable) -> None:
        node = self.story.nodes[frame.node]
        if node.counts == "left":
            self.count(node.name)

    def _do(self, frame: _Mutable, step: Step) -> None:
        match step:
            case Divert():
                self._divert(frame, step)
            case Offer():
                self._offer(step)
            case Wait():
                if self._open:
                    raise _Stopped
            case End(final=final):
                self._leave(frame)
                if len(self._threads) > 1 and not final:
                    self._threads.pop()
                    return
                self._over = "end" if final else "done"
                if final:
                    self._open.clear()
                    self._fallback = None
                raise _Stopped
            case Return(of=of, tunnel=True):
                self._return(frame, of)
            case Return():
                raise Fault(f"node {frame.node!r} returns a value, but was not called as a function")
            case Act():
                self._act(frame, step)
            case _:
                frame.at = self.plain(step, frame.at, frame.temps)

    def _divert(self, frame: _Mutable, step: Divert) -> None:
        to = self.value(step.to, frame.temps)
        if not isinstance(to, Target) or to.node not in self.story.nodes:
            raise Fault(f"line {step.line}: {values.shown(to)[:40]!r} is no node to go to")
        node = self.story.nodes[to.node]
        temps = self.bound(node, step.arguments, frame.temps, step.line)
        stack, origin = self._threads[-1], frame.node
        if sum(map(len, self._threads)) >= self.limits.frames_max and step.kind != "go":
            raise Fault(f"line {step.line}: more than {self.limits.frames_max} tunnels and threads within each other")
        match step.kind:
            case "go":
                self._leave(frame)
                frame.node, frame.at = node.name, 0
                frame.temps.update(temps)
            case "tunnel":
                stack.append(_Mutable(Frame(node=node.name, temps=temps, tunnel=True)))
            case "thread":
                fork = [_Mutable(held.frozen()) for held in stack]
                fork[-1].node, fork[-1].at = node.name, 0
                fork[-1].temps.update(temps)
                self._threads.append(fork)
        self.visit(node.name, origin)

    def _return(self, frame: _Mutable, of: Expr | None) -> None:
        """Out of a tunnel, to where it was entered or elsewhere."""
        stack = self._threads[-1]
        to = self.value(of, frame.temps) if of is not None else None
        self._leave(frame)
        if self.story.syntax == "yarn" and not frame.tunnel:
            raise _Stopped
        if len(stack) < 2 or not frame.tunnel:
            raise Fault(f"node {frame.node!r} leaves a tunnel that was not entered")
        stack.pop()
        if to is not None:
            self._divert(stack[-1], Divert(Constant(to)))

    def _offer(self, step: Offer) -> None:
        frame = self._threads[-1][-1]
        key = step.key or step.node
        if step.once and self.visits.get(key, 0) > 0:
            return
        if step.condition is not None and not values.truth(self.value(step.condition, frame.temps)):
            return
        text, tags = self.text((*step.start, *step.only), frame.temps)
        frames = [held.frozen() for held in self._threads[-1]]
        frames[-1] = msgspec.structs.replace(frames[-1], node=step.node, at=step.at)
        choice = Choice(text=text, tags=tags, frames=tuple(frames), origin=frame.node, key=step.key)
        if step.fallback:
            self._fallback = self._fallback or choice
        elif len(self._open) >= self.limits.choices_max:
            self._faults.append(f"line {step.line}: more than {self.limits.choices_max} choices are open")
        else:
            self._open.append(choice)
        self.offered = len(self._open)

    def _act(self, frame: _Mutable, step: Act) -> None:
        if len(self._acts) >= self.limits.lines_max:
            raise Fault(f"line {step.line}: more than {self.limits.lines_max} acts in one turn")
        self._acts.append(
            Wanted(
                action=step.action,
                arguments={name: self.text(block, frame.temps)[0] for name, block in step.arguments},
            )
        )
