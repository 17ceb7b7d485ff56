"""What the resources take in their URL and body and what they answer, typed once for code and document.

Plain values: it knows no request and no store.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.core.messages import Message, WorldName
from app.world.entities import Fact, Location, Npc
from app.world.usage import Rows, Used

Count = Annotated[int, msgspec.Meta(ge=0, le=999_999_999_999_999)]


class Nothing(Message, frozen=True, kw_only=True):
    """No parameter at all."""


class Polling(Message, frozen=True, kw_only=True):
    """`after` is the last push that the client has, or else the newest; `wait` the milliseconds that it can."""

    after: Count | msgspec.UnsetType = msgspec.UNSET
    wait: Count = 0


class InWorld(Message, frozen=True, kw_only=True):
    """The world that is meant, where it is not named elsewhere."""

    world: WorldName = ""


class MapFormat(Message, frozen=True, kw_only=True):
    """How the bytes of a map are to be read, as in path.upload."""

    format: Literal["movingai", "rows"] = "movingai"


class Code(Message, frozen=True, kw_only=True):
    """A one-time code of `/v1/auth/code`."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A token (RFC 6750) and the seconds that it holds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the name of a scheme
    expires_in: int


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A code, and the page that takes it."""

    code: str
    path: str


class WorldHere(msgspec.Struct, frozen=True, kw_only=True):
    """The size and clock of a world, and its maps with their versions."""

    id: str
    seq: int
    game_s: float
    counts: dict[str, int]
    maps: dict[str, int]


class WorldListed(msgspec.Struct, frozen=True, kw_only=True):
    """As WorldHere, or, for a world of another replica, only its address, empty while nobody owns it."""

    id: str
    at: str | msgspec.UnsetType = msgspec.UNSET
    seq: int | msgspec.UnsetType = msgspec.UNSET
    game_s: float | msgspec.UnsetType = msgspec.UNSET
    counts: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    maps: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class WorldList(msgspec.Struct, frozen=True, kw_only=True):
    """Every world of the tenant."""

    worlds: tuple[WorldListed, ...]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One NPC of a roster; `handle` stands for it in binary frames."""

    id: str
    name: str
    archetype: str
    alive: bool
    handle: int


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """The NPCs of a world."""

    npcs: tuple[Listed, ...]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An NPC, the facts about it, and, under each module's name, what that module knows of it."""

    npc: Npc
    facts: tuple[Fact, ...]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The named places of a world."""

    locations: tuple[Location, ...]


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A push as on the socket."""

    op: str
    seq: int
    data: dict[str, Any]


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """The pushes after the one that was named, and the `seq` to name next."""

    pushes: tuple[Pushed, ...]
    seq: int


class UsedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What models took in a world, in total and by day, month, NPC, player and engine.

    Of a world of another replica there is only that replica's address, which can tell.
    """

    at: str | msgspec.UnsetType = msgspec.UNSET
    total: Used | msgspec.UnsetType = msgspec.UNSET
    days: Rows | msgspec.UnsetType = msgspec.UNSET
    months: Rows | msgspec.UnsetType = msgspec.UNSET
    npcs: Rows | msgspec.UnsetType = msgspec.UNSET
    players: Rows | msgspec.UnsetType = msgspec.UNSET
    engines: Rows | msgspec.UnsetType = msgspec.UNSET


class UsageTable(msgspec.Struct, frozen=True, kw_only=True):
    """World -> what models took in it."""

    worlds: dict[str, UsedIn]


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    live: bool


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests are answered in time, and the names of what is degraded or missing."""

    ready: bool
    degraded: tuple[str, ...]
    mode: int
    warm: bool
