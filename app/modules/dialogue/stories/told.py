"""The stories of NPCs in one server: what a story says to a player now, and the event that remembers where it stands.

Pure but for what it was given at start. It writes nothing: the caller commits the change with the line's effects, puts
the acts through the truth gate, and says the lines as `saying` allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from app.core.errors import NotFound
from app.modules.dialogue.intents import Lexicon
from app.modules.dialogue.stories import machine, matching, saying, shelf
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import Beat, Run, Spoken, Story, encoder, runs
from app.modules.dialogue.stories.view import WorldView
from app.world.entities import Npc
from app.world.events import StoryMoved
from app.world.gate.acts import Proposed
from app.world.state import World, pair

ATTRIBUTE = "story"
"""The attribute of an NPC that names its story, `NAME` or `NAME.NODE`."""


def attached_to(npc: Npc) -> str:
    """The story that an NPC is to tell; empty for none."""
    named = npc.attributes.get(ATTRIBUTE, "")
    return named if isinstance(named, str) else ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the story says now. `choices` are open after it; `faults` are for the story's author."""

    story: str
    lines: tuple[Spoken, ...]
    choices: tuple[str, ...]
    acts: tuple[Proposed, ...]
    change: StoryMoved
    chosen: str = ""
    """The text of the choice that the player's words were taken for."""
    faults: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All lines as written."""
        return " ".join(saying.verbatim(line) for line in self.lines)


class Stories:
    """Plays the stories that NPCs have."""

    def __init__(
        self, stories: Mapping[str, Story], lexicon: Lexicon, limits: Limits, *, day_s: float, day_start_share: float
    ) -> None:
        self._stories, self._lexicon, self._limits = stories, lexicon, limits
        self._day_s, self._day_start_share = day_s, day_start_share

    def turn(
        self, world: World, npc: str, player: str, heard: str, *, seed: int, thread: str, hearers: Sequence[str] = ()
    ) -> Told | None:
        """What the story of `npc` has to say to `heard` in the talk `thread`; None where it has nothing to say.

        A story begins with the first line of a talk. While choices are open, only words that mean one of them move
        it; whatever else is said is for ordinary talk, and the choices stay open.
        """
        found = self._attached(world, npc, player)
        if found is None:
            return None
        story, node = found
        run, chosen = self._run(world, npc, player), ""
        view = WorldView(world, npc, (player, *hearers), day_s=self._day_s, day_start_share=self._day_start_share)
        if run is None or run.story != story.name:
            beat = machine.step(story, machine.begin(story, node=node, seed=seed), view, self._limits)
        elif run.digest != story.digest or (run.over == "done" and run.thread != thread):
            beat = machine.step(story, machine.again(story, run, node=node), view, self._limits)
        else:
            choices = [choice.text for choice in run.choices]
            number = matching.matched(choices, heard, self._lexicon, self._limits)
            if number is None:
                return None
            chosen = choices[number]
            beat = machine.choose(story, run, number, view, self._limits)
        return self._told(beat, view, npc, player, chosen=chosen, thread=thread)

    def choices(self, world: World, npc: str, player: str) -> tuple[str, ...]:
        """The choices that are open now, for the reply of ordinary talk."""
        found, run = self._attached(world, npc, player), self._run(world, npc, player)
        if found is None or run is None or (run.story, run.digest) != (found[0].name, found[0].digest):
            return ()
        return tuple(choice.text for choice in run.choices)

    def faults(self, world: World, npc: str) -> list[str]:
        """What is wrong with the story that an NPC is to tell: it, or its node, is not there."""
        attached = attached_to(world.npc(npc))
        try:
            if attached:
                shelf.entry(self._stories, attached)
        except NotFound as error:
            return [error.message]
        return []

    def _attached(self, world: World, npc: str, player: str) -> tuple[Story, str] | None:
        """The story of an NPC and the node where it begins; None for a person of whom nothing may be used."""
        attached, state = attached_to(world.npc(npc)), world.state
        if not attached or player not in state.players or player in state.withheld:
            return None
        try:
            return shelf.entry(self._stories, attached)
        except NotFound:
            return None

    @staticmethod
    def _run(world: World, npc: str, player: str) -> Run | None:
        moved = world.state.stories.get(pair(npc, player))
        try:
            return runs.decode(moved.run) if moved is not None else None
        except msgspec.DecodeError:
            return None

    def _told(self, beat: Beat, view: WorldView, npc: str, player: str, *, chosen: str, thread: str) -> Told | None:
        run = msgspec.structs.replace(beat.run, thread=thread)
        kept, faults = encoder.encode(run), list(beat.faults)
        if len(kept) > self._limits.run_bytes_max:
            faults.append(f"the run takes more than {self._limits.run_bytes_max} bytes, and begins again")
            kept, run = b"", msgspec.structs.replace(run, choices=())
        acts = (
            Proposed(action=act.action, arguments={name: view.named(value) for name, value in act.arguments.items()})
            for act in beat.acts
        )
        return Told(
            story=run.story,
            lines=beat.lines,
            choices=tuple(choice.text for choice in run.choices),
            acts=tuple(acts),
            change=StoryMoved(npc=npc, player=player, story=run.story, run=kept),
            chosen=chosen,
            faults=tuple(faults),
        )
