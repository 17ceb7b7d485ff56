"""A server that others reach is refused with every danger named, and a laptop's is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.build import MODULE_SETTINGS, ROOT
from app.control.safety import Unsafe, dangers, is_loopback, is_server, require_safe
from app.core.profile import Profile, layers, load

SAFE = {
    "server.host": "0.0.0.0",
    "security.proxies": ["10.0.0.7"],
    "security.hosts": ["npc.example.com"],
    "security.origins": ["https://game.example.com"],
    "database.url": "postgresql://app:9b1c7f3ad2e64c55@db.internal/npc?sslmode=verify-full",
    "cache.url": "rediss://npc:9b1c7f3ad2e64c55@cache.internal",
    "ownership.address": "https://10.0.0.5:8717",
}


def profile(folder: Path, **changes: object) -> Profile:
    flags = {
        **SAFE,
        "server.data_folder": str(folder / "data"),
        **{k.replace("__", "."): v for k, v in changes.items()},
    }
    return load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags), MODULE_SETTINGS).profile


def fatal(folder: Path, environment: dict[str, str] | None = None, key_file: str = "", **changes: object) -> set[str]:
    found = dangers(profile(folder, **changes), environment or {}, key_file=key_file)
    return {danger.setting for danger in found if danger.fatal}


def test_a_server_with_everything_in_order_may_start(tmp_path: Path) -> None:
    assert fatal(tmp_path) == set()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("security.proxies", ["0.0.0.0/0"]),
        ("security.proxies", ["::/0"]),
        ("security.origins", ["*"]),
        ("security.origins", ["null"]),
        ("security.origins", ["https://*.example.com"]),
        ("security.origins", ["example.com"]),
        ("database.url", "postgresql://app:9b1c7f3ad2e64c55@db.internal/npc"),
        ("database.url", "postgresql://app:9b1c7f3ad2e64c55@db.internal/npc?sslmode=require"),
        ("database.url", "postgresql://app:app@db.internal/npc?sslmode=verify-full"),
        ("database.url", "postgresql://app:changeme@127.0.0.1/npc"),
        ("database.url", "postgresql://app:@127.0.0.1/npc"),
        ("cache.url", "redis://npc:9b1c7f3ad2e64c55@cache.internal"),
        ("cache.url", "rediss://cache.internal"),
        ("cache.url", "rediss://:secret@cache.internal"),
        ("cache.url", "redis://:secret@127.0.0.1"),
        ("cache.url", "rediss://npc:9b1c7f3ad2e64c55@cache.internal?ssl_cert_reqs=none"),
        ("stream.url", "pulsar://bus.internal:6650"),
        ("ownership.address", "http://10.0.0.5:8717"),
        ("telemetry.log_level", "debug"),
    ],
)
def test_one_unsafe_setting_is_named_alone(tmp_path: Path, setting: str, value: object) -> None:
    assert fatal(tmp_path, **{setting.replace(".", "__"): value}) == {setting}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "npc.example.com"])
def test_plain_http_off_loopback_is_refused(tmp_path: Path, host: str) -> None:
    assert fatal(tmp_path, server__host=host, security__proxies=[]) == {"server.tls_certificate"}
    assert fatal(tmp_path, server__host=host, security__proxies=[], server__tls_certificate="x.pem") == set()


@pytest.mark.parametrize("key", ["changeme", "your-api-key", " CHANGEME "])
def test_an_example_in_place_of_a_provider_s_key_is_refused(tmp_path: Path, key: str) -> None:
    assert fatal(tmp_path, {"OPENAI_API_KEY": key}) == {"OPENAI_API_KEY"}


def test_a_provider_by_plain_http_is_refused(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "sk-9b1c7f3ad2e64c55", "AZURE_OPENAI_API_KEY": "9b1c7f3ad2e64c55"}
    environment["AZURE_OPENAI_ENDPOINT"] = "http://llm.example.com"
    found = fatal(tmp_path, environment, engines__openai__base_url="http://llm.example.com/v1")
    assert found == {"engines.openai.base_url", "AZURE_OPENAI_ENDPOINT"}


def test_keys_and_data_that_everybody_may_read_are_refused(tmp_path: Path) -> None:
    folder, key = tmp_path / "data", tmp_path / "audit.key"
    folder.mkdir(mode=0o700)
    for path in (key, folder / "api-key"):
        path.write_bytes(b"k" * 32)
        path.chmod(0o600)
    settings = {"audit__key_file": str(key), "key_file": "api-key"}
    assert fatal(tmp_path, **settings) == set()
    key.chmod(0o644)
    folder.chmod(0o755)
    (folder / "api-key").chmod(0o604)
    assert fatal(tmp_path, **settings) == {"audit.key_file", "server.data_folder", "api-key"}


def test_a_refusal_names_each_setting_with_its_mend_and_no_secret(tmp_path: Path) -> None:
    unsafe = profile(tmp_path, database__url="postgresql://app:hunter2hunter2@db/npc", security__origins=["*"])
    with pytest.raises(Unsafe) as refused:
        require_safe(unsafe, {})
    assert "database.url" in refused.value.message
    assert "security.origins" in refused.value.message
    assert "sslmode=verify-full" in refused.value.message
    assert "hunter2" not in refused.value.message


def test_a_laptop_may_do_as_it_likes_unless_it_says_that_it_is_a_server(tmp_path: Path) -> None:
    loose = {
        "server__host": "127.0.0.1", "security__proxies": [], "telemetry__log_level": "debug",
        "security__origins": ["*"], "database__url": "postgresql://postgres:postgres@db/npc",
    }  # fmt: skip
    assert dangers(profile(tmp_path, **loose), {}) == []
    assert fatal(tmp_path, security__level="server", **loose) == {
        "telemetry.log_level", "security.origins", "database.url"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("localhost.example.com", False), ("", False)],
)  # fmt: skip
def test_loopback_is_an_address_and_not_a_prefix(tmp_path: Path, host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert is_server(profile(tmp_path, server__host=host)) is not loopback
