"""What the how-to shows is what its commands print in its world."""

from __future__ import annotations

import re
import shlex

import msgspec

from app.cli.cards import _introduced
from app.modules.characters import logic
from app.modules.characters.plans import Wish
from app.world.entities import AnyEntity
from app.world.events import EntityUpserted
from app.world.state import World
from tests.modules.characters.test_made import SCHEDULES, put
from tests.modules.characters.worlds import apply
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "how-to" / "populate-a-village.md").read_text()


def printed() -> list[str]:
    """What each command of the page prints, in order, each in the world that the ones before have made."""
    body = re.search(r"upsert .*? -d '(\{.*?\})'\n", PAGE, re.DOTALL)
    assert body is not None
    told = msgspec.json.decode(body.group(1))
    world = World("default", told["world"])
    apply(world, [EntityUpserted(entity=one) for one in msgspec.convert(told["entities"], list[AnyEntity])])
    shown = []
    for line in re.findall(r"^python manage.py characters generate (.*)$", PAGE, re.MULTILINE):
        words = shlex.split(line)
        said = dict(zip(words[::2], words[1::2], strict=True))
        wish = Wish(
            plan=said.get("--plan", "person"),  # type: ignore[arg-type]  # a plan, or the test fails
            count=int(said["--count"]),
            seed=int(said["--seed"]),
            place=said.get("--place", ""),
            faction=said.get("--faction", ""),
        )
        people = logic.shown(logic.changes(put(world, wish).members, SCHEDULES))
        shown.append("\n".join(_introduced(msgspec.to_builtins(one)) for one in people))
    return shown


def test_the_how_to_shows_what_its_commands_print() -> None:
    tavern, watch, family, _others = printed()
    assert tavern in PAGE
    assert family in PAGE
    captain = re.search(r"'([\w ]+)' is the one captain of 'watch'", PAGE)
    assert captain is not None
    assert watch.startswith(captain.group(1))
