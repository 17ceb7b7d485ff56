"""What a server that others reach must not be started with: each danger with the setting and the mend.

It reads a profile, the environment and the permissions of files, and opens nothing. On a laptop's loopback it finds
nothing, whatever is set; a profile asks for the same rules there with `security.level = "server"`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from app.core.engines import Anthropic, Azure, OpenAI
from app.core.errors import Invalid
from app.core.profile import Profile

WEAK = frozenset(
    (
        "", "admin", "change-me", "change_me", "changeit", "changeme", "default", "dev", "example",
        "innkeeper", "letmein", "pass", "passw0rd", "password", "postgres", "redis", "replace-me", "replaceme", "root",
        "secret", "test", "todo", "xxx", "your-api-key", "your-key-here", "your_api_key", "your_key_here", "123456",
        "12345678",
    )
)  # fmt: skip
"""Words that examples and tutorials use in place of a secret."""
SECRET_LENGTH_MIN = 12
VERIFIED = "verify-full"
"""The only sslmode under which PostgreSQL's own name is checked."""


class Danger(msgspec.Struct, frozen=True, kw_only=True):
    """One finding; a `fatal` one forbids the start."""

    setting: str
    what: str
    mend: str
    fatal: bool = True


class Unsafe(Invalid):
    """The profile must not serve."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_server(profile: Profile) -> bool:
    """Whether the rules for a shared server hold: it listens off loopback, or says so."""
    return profile.security.level == "server" or not is_loopback(profile.server.host)


def dangers(profile: Profile, environment: Mapping[str, str], *, key_file: str = "") -> list[Danger]:
    """Everything that a shared server must mend, or should; empty for one on loopback that is not declared as such."""
    if not is_server(profile):
        return []
    return [
        *_listening(profile),
        *_database(profile.database.url),
        *_redis("cache.url", profile.cache.url),
        *_redis("stream.url", profile.stream.url),
        *_providers(profile, environment),
        *_files(profile, key_file),
        *_habits(profile),
    ]


def require_safe(profile: Profile, environment: Mapping[str, str], *, key_file: str = "") -> list[Danger]:
    """The findings that are no reason not to start; raises Unsafe with all that are."""
    found = dangers(profile, environment, key_file=key_file)
    fatal = [danger for danger in found if danger.fatal]
    if fatal:
        lines = "".join(f"\n  {danger.setting}: {danger.what}; {danger.mend}" for danger in fatal)
        raise Unsafe(
            f"this server would not be safe:{lines}", hint="a laptop's server listens on 127.0.0.1 and needs none of it"
        )
    return found


def _listening(profile: Profile) -> Iterator[Danger]:
    server, security = profile.server, profile.security
    if not is_loopback(server.host) and not server.tls_certificate and not security.proxies:
        yield Danger(
            setting="server.tls_certificate",
            what=f"keys and players' words would cross {server.host!r} in plain text",
            mend="give it and server.tls_key, or name the proxy that ends TLS in security.proxies",
        )
    for origin in security.origins:
        parts = urlsplit(origin)
        if origin == "null" or "*" in origin or parts.scheme not in ("http", "https") or not parts.hostname:
            yield Danger(
                setting="security.origins",
                what=f"{origin!r} lets pages of strangers open sockets",
                mend="name each origin, such as https://game.example.com",
            )
    for network in security.proxies:
        if network.endswith("/0"):
            yield Danger(
                setting="security.proxies",
                what=f"{network!r} lets anybody choose the address that limits count",
                mend="name the proxies alone",
            )
    address = urlsplit(profile.ownership.address)
    if address.scheme == "http" and not is_loopback(address.hostname or ""):
        yield Danger(
            setting="ownership.address",
            what="requests and tokens would go to other replicas in plain text",
            mend="let the replicas reach each other by https://",
        )
    if server.admin_port and not is_loopback(server.admin_host):
        yield Danger(
            setting="server.admin_host",
            what=f"whoever reaches {server.admin_host!r} reads the metrics of all tenants without a key",
            mend="keep it on 127.0.0.1, or let only the monitoring reach it",
            fatal=False,
        )
    if not security.hosts:
        yield Danger(
            setting="security.hosts",
            what="a request may name any host",
            mend="list the names under which clients reach the server",
            fatal=False,
        )


def _database(url: str) -> Iterator[Danger]:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if not parts.scheme.startswith("postgres") or not parts.hostname:
        return
    password, user = unquote(parts.password or ""), unquote(parts.username or "")
    if parts.password is not None and (_is_weak(password) or password == user):
        yield _weak("database.url", "the password")
    if not is_loopback(parts.hostname) and query.get("sslmode", [""])[-1] != VERIFIED:
        yield Danger(
            setting="database.url",
            what=f"the connection to {parts.hostname!r} is not encrypted under its checked name",
            mend=f"add ?sslmode={VERIFIED}&sslrootcert=FILE",
        )


def _redis(setting: str, url: str) -> Iterator[Danger]:
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        return
    if parts.password is not None and _is_weak(unquote(parts.password)):
        yield _weak(setting, "the password")
    if is_loopback(parts.hostname):
        return
    if parts.scheme in ("redis", "pulsar"):
        safe = {"redis": "rediss", "pulsar": "pulsar+ssl"}[parts.scheme]
        yield Danger(
            setting=setting,
            what=f"the connection to {parts.hostname!r} is not encrypted",
            mend=f"write {safe}://",
        )
    if parts.scheme.startswith("redis") and not parts.password:
        yield Danger(
            setting=setting,
            what=f"{parts.hostname!r} is asked without a password",
            mend="give the server a user and a password of its own",
        )
    yield from _unchecked(setting, parts)


def _unchecked(setting: str, parts: SplitResult) -> Iterator[Danger]:
    query = parse_qs(parts.query)
    off = ("none", "false", "0", "no", "optional")
    for name in ("ssl_cert_reqs", "ssl_check_hostname"):
        if query.get(name, [""])[-1].lower() in off:
            yield Danger(setting=setting, what=f"{name} is off, so anybody may answer", mend="leave it out")


def _providers(profile: Profile, environment: Mapping[str, str]) -> Iterator[Danger]:
    for name, spec in profile.engines.items():
        if not isinstance(spec, OpenAI | Azure | Anthropic):
            continue
        key = environment.get(spec.key_env)
        if key is not None and key.strip().lower() in WEAK - {""}:
            yield _weak(spec.key_env, "the key in the environment")
        setting = spec.endpoint_env if isinstance(spec, Azure) else f"engines.{name}.base_url"
        url = urlsplit(environment.get(spec.endpoint_env, "") if isinstance(spec, Azure) else spec.base_url)
        if key and url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield Danger(
                setting=setting,
                what=f"the key and players' words would go to {url.hostname!r} in plain text",
                mend="write https://",
            )


def _files(profile: Profile, key_file: str) -> Iterator[Danger]:
    folder = Path(profile.server.data_folder)
    named = {
        "server.data_folder": folder,
        "server.tls_key": Path(profile.server.tls_key) if profile.server.tls_key else None,
        "audit.key_file": Path(profile.audit.key_file) if profile.audit.key_file else None,
        key_file: folder / key_file if key_file else None,
    }
    for setting, path in named.items():
        if path is not None and path.exists() and path.stat().st_mode & stat.S_IROTH:
            yield Danger(
                setting=setting,
                what=f"everybody on this machine may read {str(path)!r}",
                mend=f"chmod {'700' if path.is_dir() else '600'} {path}",
            )


def _habits(profile: Profile) -> Iterator[Danger]:
    if profile.telemetry.log_level == "debug":
        yield Danger(
            setting="telemetry.log_level",
            what="'debug' is for a developer's machine",
            mend="write info",
        )
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        yield Danger(setting="user", what="the server runs as root", mend="give it a user of its own", fatal=False)
    if not profile.audit.key_file:
        yield Danger(
            setting="audit.key_file",
            what="whoever reads and writes the database can forge the audit trail",
            mend="openssl rand -out FILE 32, and name that file",
            fatal=False,
        )


def _is_weak(secret: str) -> bool:
    return secret.strip().lower() in WEAK or len(secret) < SECRET_LENGTH_MIN


def _weak(setting: str, what: str) -> Danger:
    return Danger(
        setting=setting, what=f"{what} is one that anybody would guess", mend="draw one: openssl rand -hex 24"
    )
