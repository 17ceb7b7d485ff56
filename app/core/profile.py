"""The profile: which engines, stores and limits make a mode, and where each value came from.

Layers, later ones win: base < mode < a file of the user's < environment `INNKEEPER__…` < flags.
It knows the types of its own sections; a module's settings type is given by the caller. It builds nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import msgspec

from app.core.batches import Settings as BatchSettings
from app.core.doors import Doors
from app.core.engines import AnyEngine
from app.core.errors import Invalid, nearest
from app.core.outbound import Outbound
from app.core.prompts import PromptLimits
from app.core.quotas import Budgets, Limits
from app.core.responses import Responses, Structured
from app.core.section import Section
from app.core.sign_in import SignIn

ENVIRONMENT_PREFIX = "INNKEEPER__"
Tree = dict[str, Any]


class Server(Section, frozen=True, kw_only=True):
    """The listening side and its caps."""

    host: str
    port: int
    data_folder: str
    """Where the database, the first key and the caches live; relative to the working directory."""
    tls_certificate: str
    """File of the certificate and its chain in PEM; with it and `tls_key` this server speaks TLS 1.3 itself."""
    tls_key: str
    admin_host: str
    admin_port: int
    """A second port for health and metrics alone, in plain HTTP and without keys; 0 leaves them on the one port."""
    frame_bytes_max: int
    body_bytes_max: int
    map_bytes_max: int
    client_frame_bytes_max: int
    """Frames to a client stay below this unless its hello allows more (Godot's buffer is 64 KiB)."""
    inflight_max: int
    """Requests in flight of one session."""
    requests_max: int
    """Requests in flight of the whole server."""
    backlog_ms_max: int
    """Admitted work that may wait for the event loop; while more does for long, requests are told to come again."""
    burst_ms_max: int
    """As much may wait for a moment, when many requests arrive at once."""
    write_wait_ms_max: int
    """While the oldest event has waited longer for its commit, writes are told to come again."""
    outbox_frames_max: int
    answers_bytes_max: int
    """Replies of one session that are kept in case its client never got them."""
    hello_ms_max: int
    header_ms_max: int
    half_open_max: int
    head_bytes_max: int
    body_ms_max: int
    stall_ms_max: int
    """Connections of one address that have not sent a whole request head yet."""
    deadline_ms_max: int
    resume_ms: int
    poll_ms_max: int
    drain_ms_max: int
    pushes_kept_max: int
    malformed_max: int
    """Malformed frames in a row that close a socket."""


class Security(Section, frozen=True, kw_only=True):
    """Who may speak to the server."""

    token_minutes: Annotated[int, msgspec.Meta(ge=1, le=15)]
    refresh_idle_minutes: int
    """A refresh token that is not used for this long has ended."""
    refresh_minutes_max: int
    """A sign-in ends after this long, however often it is renewed."""
    families_max: int
    """Sign-ins (token families) of one key or operator that are kept at once; with more, the oldest ends."""
    token_cache_max: int
    """Verified tokens that are remembered for half a minute."""
    signing_key_days: int
    """After this long another key signs tokens."""
    access_poll_ms: Annotated[int, msgspec.Meta(ge=50, le=900)]
    """How often the database is asked whether somebody's access has changed; it is in force a second after, at most."""
    origins: tuple[str, ...]
    """Web origins besides the server's own that may open a socket."""
    level: Literal["auto", "server"]
    """`server` holds a start to the rules for a shared server; `auto` does where `server.host` is off loopback."""
    proxies: tuple[str, ...]
    """Addresses and networks of proxies in front of this server; only of these is `X-Forwarded-For` believed."""
    hosts: tuple[str, ...]
    """The only values of Host that are served, such as npc.example.com:8717; empty serves any."""


class Audit(Section, frozen=True, kw_only=True):
    """The audit trail: what people and keys did, as a chain for each tenant."""

    key_file: str
    """At least 32 random bytes that sign the trail; empty keeps them in the database, as safe as that is."""
    checkpoint_file: str
    """Signed checkpoints are appended here too; a place off this machine shows a trail that was cut short."""
    queue_entries_max: int
    """Entries that wait for the database; more are counted, and the count is written."""
    retention_days: int
    """Older entries are cut off at a checkpoint; 0 keeps all."""


class Database(Section, frozen=True, kw_only=True):
    """The event log's home. An empty `url` is the embedded SQLite file in the data folder."""

    url: str
    owner_url: str
    """The same database as the role that owns the tables, where the role of `url` may not migrate them."""
    queue_events_max: int
    batch_events_max: int
    checkpoint_events: int
    """A world has a checkpoint written when it has this many more events than its last one..."""
    checkpoint_ms: int
    """...and when this long has passed since then."""
    idempotency_keys_max: int
    retry_ms: int
    bridge_ms: int
    """An outage up to this long is bridged; in a longer one writes are told to come again."""
    answer_ms: int
    """When the database takes longer to answer, readiness names it."""
    transaction_ms: int
    """A transaction that takes longer is cut, and tried again when it writes events."""


class Ownership(Section, frozen=True, kw_only=True):
    """Which replica keeps which world in its memory. A server over SQLite is always alone with its worlds."""

    address: str
    """Where the other replicas reach this one, such as http://10.0.0.5:8717. Without it nobody forwards to it."""
    lease_ms: int
    """A replica that has not been heard of for this long is dead, and its worlds go to whoever is asked for them."""
    connections_max: int
    """Connections to other replicas that carry forwarded requests."""


class Cache(Section, frozen=True, kw_only=True):
    """Cache, rate limits and leases. An empty `url` keeps them in the process; redis://… shares them."""

    url: str
    entries_max: int
    value_bytes_max: int
    local_ms: int
    """A value read from the server is kept in the process for at most this long."""
    keys_max: int
    """Rate limits and leases that are counted at once in this process."""
    alone_share: float
    """Part of a rate limit that this process grants while the server is gone; 1 / replicas."""
    connections_max: int
    command_ms: int
    """An answer that takes longer means that the server is gone."""


class Stream(Section, frozen=True, kw_only=True):
    """Events to consumers. An empty `url` keeps them in the process; redis://… or pulsar://… shares them."""

    url: str
    entries_max: int
    """How far the slowest group may lag before publishing waits."""
    dead_max: int
    tries_max: int
    retry_ms: int
    """An entry that is not acknowledged for this long is delivered again."""
    connections_max: int
    command_ms: int


class Features(Section, frozen=True, kw_only=True):
    """Vectors of players and NPCs, and their history. Without `views` nothing is computed."""

    views: tuple[str, ...]
    """Names of app/stores/features/views, such as `people`."""
    history: bool
    """Also append every vector to Parquet in the data folder; needs the extra `features`."""
    queue_events_max: int
    """Of a world; more are read again from the log."""
    history_rows_max: int
    """Rows that wait for the disk; with more, history pauses until the next start."""
    keep_ms: int
    """How often rows and vectors are written, so that a start folds little."""


class Privacy(Section, frozen=True, kw_only=True):
    """How long what is no part of a world's log is kept."""

    records_days_max: int
    """Idempotency keys older than this go."""
    lines_days_max: int
    """Records behind lines of dialogue older than this go."""
    keys_days_max: int
    """Revoked API keys older than this go."""
    reports_days_max: int
    """Players' reports older than this go."""


class Telemetry(Section, frozen=True, kw_only=True):
    """Logs."""

    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["console", "json"]


class Profile(Section, frozen=True, kw_only=True):
    """Everything that the composition root needs. `modules` holds each module's own settings struct."""

    mode: int
    server: Server
    security: Security
    audit: Audit
    outbound: Outbound
    sign_in: SignIn
    prompts: PromptLimits
    database: Database
    ownership: Ownership
    cache: Cache
    stream: Stream
    features: Features
    limits: Limits
    budgets: Budgets
    doors: Doors
    batches: BatchSettings
    privacy: Privacy
    responses: Responses
    structured: Structured
    telemetry: Telemetry
    engines: dict[str, AnyEngine]
    ladder: dict[str, tuple[str, ...]]
    modules: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of values; `lax` sources hold strings, and only warn about unknown keys."""

    origin: str
    tree: Tree
    lax: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A profile, the origin of every value by dotted key, and warnings."""

    profile: Profile
    origins: Mapping[str, str]
    warnings: tuple[str, ...]


def layers(
    folder: Path, *, mode: int, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> list[Layer]:
    """The layers in order, read from `folder` and the given sources; raises Invalid when a file cannot be read."""
    found = [_read(folder / "base.toml"), _read(folder / f"mode{mode}.toml")]
    if file is not None:
        found.append(_read(file))
    found.append(_from_environment(environment))
    found.append(Layer("flags", _nest({key: value for key, value in flags.items() if value is not None}), lax=True))
    return found


def load(sources: Sequence[Layer], module_settings: Mapping[str, type[msgspec.Struct]]) -> Loaded:
    """Merge the layers into a typed profile.

    Raises Invalid for the first unknown key or wrong value: its message names the source, the key,
    the value and what was expected.
    """
    merged: Tree = {}
    origins: dict[str, str] = {}
    warnings: list[str] = []
    for layer in sources:
        tree = layer.tree
        if layer.lax:
            tree = _drop_unknown(tree, layer.origin, module_settings, warnings)
        _merge(merged, tree, layer.origin, origins, "")
    checker = _Checker(origins)
    chosen = merged.get("modules", {})
    checker.modules(chosen, module_settings)
    profile: Profile = checker.convert({**merged, "modules": {}}, Profile, "")
    settings = {
        name: checker.convert(chosen.get(name, {}), type_, f"modules.{name}") for name, type_ in module_settings.items()
    }
    return Loaded(msgspec.structs.replace(profile, modules=settings), origins, tuple(warnings))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}.")
        else:
            yield path, value


def _read(path: Path) -> Layer:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise Invalid(f"profile file {str(path)!r} cannot be read: {error.strerror}", hint="check the path") from error
    try:
        return Layer(str(path), tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path}: not TOML: {error}", hint="mend the file at that line") from error


def _from_environment(environment: Mapping[str, str]) -> Layer:
    values = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."): value
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    return Layer("environment", _nest(values), lax=True)


def _nest(values: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for dotted, value in values.items():
        *parents, leaf = dotted.split(".")
        table = tree
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = value
    return tree


def _merge(into: Tree, tree: Tree, origin: str, origins: dict[str, str], prefix: str) -> None:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
            _merge(into.setdefault(key, {}), value, origin, origins, f"{path}.")
        else:
            into[key] = value
            origins[path] = origin


def _drop_unknown(
    tree: Tree, origin: str, module_settings: Mapping[str, type[msgspec.Struct]], warnings: list[str]
) -> Tree:
    kept: dict[str, object] = {}
    for path, value in flatten(tree):
        expected = _type_at(path.split("."), Profile, module_settings)
        if expected is None:
            warnings.append(f"{origin}: {path} = {value!r} is unknown and ignored")
            continue
        kept[path] = _parse(value, expected)
    return _nest(kept)


def _type_at(keys: Sequence[str], type_: Any, module_settings: Mapping[str, type[msgspec.Struct]]) -> Any:
    """The declared type of a dotted key, or None when there is none."""
    if not keys:
        return type_
    if type_ is Profile and keys[0] == "modules":
        settings = module_settings.get(keys[1]) if len(keys) > 1 else None
        return _type_at(keys[2:], settings, module_settings) if settings else None
    if get_origin(type_) is dict:
        return _type_at(keys[1:], get_args(type_)[1], module_settings)
    if get_origin(type_) in (Union, UnionType):
        if keys == ["kind"]:
            return str
        found = (_type_at(keys, member, module_settings) for member in get_args(type_))
        return next((member for member in found if member is not None), None)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        hints = get_type_hints(type_)
        return _type_at(keys[1:], hints[keys[0]], module_settings) if keys[0] in hints else None
    return None


def _parse(value: object, expected: Any) -> object:
    """A string from the environment or a flag as the declared type, or unchanged for the checker to refuse."""
    if not isinstance(value, str):
        return value
    if get_origin(expected) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, expected, strict=False)
    except msgspec.ValidationError:
        return value


class _Checker:
    """Turns trees into structs, with errors that a person can act on."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins

    def modules(self, tree: Tree, known: Mapping[str, type[msgspec.Struct]]) -> None:
        for name in tree:
            if name not in known:
                self._fail(f"modules.{name}", "unknown module", nearest(name, known))

    def convert(self, tree: Any, type_: Any, path: str) -> Any:
        self._check(tree, type_, path)
        try:
            return msgspec.convert(tree, type_)
        except msgspec.ValidationError as error:
            self._fail(path or "profile", str(error), "give the missing key")

    def _check(self, tree: Any, type_: Any, path: str) -> None:
        """Walk beside the declared types and refuse the first key or value that does not fit."""
        if isinstance(tree, dict) and get_origin(type_) is dict:
            for key, value in tree.items():
                self._check(value, get_args(type_)[1], f"{path}.{key}".strip("."))
        elif isinstance(tree, dict) and get_origin(type_) in (Union, UnionType):
            members = [member for member in get_args(type_) if member is not NoneType]
            if len(members) == 1:
                self._check(tree, members[0], path)
                return
            kinds = {member.__struct_config__.tag: member for member in members}
            kind = tree.get("kind")
            if kind not in kinds:
                self._fail(f"{path}.kind", f"{kind!r} is no kind of engine", nearest(str(kind), kinds))
            self._check({key: value for key, value in tree.items() if key != "kind"}, kinds[kind], path)
        elif isinstance(tree, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            hints = get_type_hints(type_)
            for key, value in tree.items():
                dotted = f"{path}.{key}".strip(".")
                if key not in hints:
                    self._fail(dotted, f"unknown key (value {value!r})", nearest(key, hints))
                self._check(value, hints[key], dotted)
        else:
            self._check_leaf(tree, type_, path)

    def _check_leaf(self, value: Any, type_: Any, path: str) -> None:
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            text = str(error)
            self._fail(path, f"{text[0].lower()}{text[1:]}", f"the value is {value!r}")

    def _fail(self, path: str, what: str, hint: str) -> NoReturn:
        origin = self._origins.get(path) or next(
            (found for key, found in self._origins.items() if key.startswith(f"{path}.")), "profile"
        )
        raise Invalid(f"{origin}: {path}: {what}", hint=hint)
