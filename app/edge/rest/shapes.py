"""What the resources take in their URL and body and what they answer, typed once for code and document.

Plain values: it knows no request and no store.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.core.messages import Message, WorldName
from app.core.tenants import TenantSettings
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


class Tagged(Message, frozen=True, kw_only=True):
    """What kept lines depend on, such as `npc:greta`, in that world; a player is of every world."""

    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    world: WorldName = ""


class MapFormat(Message, frozen=True, kw_only=True):
    """How the bytes of a map are to be read, as in path.upload; `agent_classes` is a JSON object."""

    format: Literal["movingai", "rows", "tiled", "npz", "unity", "godot", "recast"] = "movingai"
    agent_classes: Annotated[str, msgspec.Meta(max_length=16_384)] = "{}"


class MapPicture(Message, frozen=True, kw_only=True):
    """What a picture of a map shows, as in path.preview."""

    agent_class: Annotated[str, msgspec.Meta(max_length=128)] = ""
    path: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    show: Annotated[str, msgspec.Meta(max_length=200)] = ""
    crop: Annotated[str, msgspec.Meta(max_length=100)] = ""
    scale_px: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    edge_px_max: Annotated[int, msgspec.Meta(ge=64, le=4_096)] = 2_048


class Code(Message, frozen=True, kw_only=True):
    """A one-time code of `/v1/auth/code`."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Refresh(Message, frozen=True, kw_only=True):
    """A refresh token, which is used up by this."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]


class Revoke(Message, frozen=True, kw_only=True):
    """An access or refresh token, whose sign-in ends, or an API key, of which every sign-in ends."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens (RFC 6749, 5.1) and the seconds that each holds; no refresh token comes while the database is gone."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the name of a scheme
    expires_in: int
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    refresh_expires_in: int | msgspec.UnsetType = msgspec.UNSET


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to tell."""


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has set, and how often it has."""

    version: int
    settings: TenantSettings


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """How far an erasure is; `left` says what stays, `finished_ms` is empty while files are still written anew."""

    erasure: str
    left: str
    requested_ms: int
    finished_ms: int | None


class Restricted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a person's content is used, in as many worlds."""

    subject: str
    restricted: bool
    worlds: int


class AuditPage(Message, frozen=True, kw_only=True):
    """Which entries are asked for: at most `limit` of those after the one numbered `after`."""

    after: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the trail; `hash` is hexadecimal."""

    tenant: str
    seq: int
    id: str
    wall_ms: int
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    hash: str


class AuditTrail(msgspec.Struct, frozen=True, kw_only=True):
    """Entries in order, and the number to name next."""

    entries: tuple[AuditEntry, ...]
    seq: int


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
    outside: UsedIn | msgspec.UnsetType = msgspec.UNSET
    """What models took at the doors for no world; left out where one world was asked for."""


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    live: bool


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests are answered in time, and the names of what is degraded or missing."""

    ready: bool
    degraded: tuple[str, ...]
    mode: int
    warm: bool
