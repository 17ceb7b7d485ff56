"""Profiles: layers, origins and errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.build import MODULE_SETTINGS
from app.core.engines import Onnx, OpenAI, Rate
from app.core.errors import Invalid
from app.core.profile import Loaded, layers, load

PROFILES = Path(__file__).resolve().parents[2] / "profiles"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tries_max: int = 3


def read(text: str = "", *, tmp_path: Path | None = None, mode: int = 2, **given: str) -> Loaded:
    file = None
    if text and tmp_path is not None:
        file = tmp_path / "mine.toml"
        file.write_text(text)
    environment = {key: value for key, value in given.items() if key.startswith("INNKEEPER__")}
    flags = {key.replace("__", "."): value for key, value in given.items() if key not in environment}
    sources = layers(PROFILES, mode=mode, file=file, environment=environment, flags=flags)
    return load(sources, {**MODULE_SETTINGS, "example": Limits})


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_every_shipped_mode_loads(mode: int) -> None:
    assert read(mode=mode).profile.mode == mode


@pytest.mark.parametrize("name", ["mode3-rtx3060", "mode3-rtx4090", "test"])
def test_every_shipped_overlay_loads(name: str) -> None:
    load(layers(PROFILES, mode=3, file=PROFILES / f"{name}.toml", environment={}, flags={}), MODULE_SETTINGS)


def test_later_layers_win_and_every_value_knows_its_origin(tmp_path: Path) -> None:
    text = "[server]\nport = 1000\nhost = '0.0.0.0'\n[modules.example]\ntries_max = 9"
    loaded = read(text, tmp_path=tmp_path, INNKEEPER__SERVER__PORT="2000", server__port="3000")
    assert loaded.profile.server.port == 3000
    assert loaded.profile.modules["example"].tries_max == 9
    assert loaded.origins["server.port"] == "flags"
    assert loaded.origins["server.host"].endswith("mine.toml")
    assert loaded.origins["server.inflight_max"].endswith("base.toml")


def test_a_list_in_the_environment_is_comma_separated() -> None:
    policy = read(INNKEEPER__ENGINES__POLICY__PROVIDERS="cuda, cpu").profile.engines["policy"]
    assert isinstance(policy, Onnx)
    assert policy.providers == ("cuda", "cpu")


def test_a_table_that_may_be_left_out_is_checked_where_it_is_there(tmp_path: Path) -> None:
    rate = "[engines.openai.price]\ninput_usd = 0.2\noutput_usd = 1.6\n"
    openai = read(rate, tmp_path=tmp_path).profile.engines["openai"]
    assert isinstance(openai, OpenAI)
    assert openai.price == Rate(input_usd=0.2, output_usd=1.6)
    with pytest.raises(Invalid, match=r"mine.toml: engines.openai.price.input_eur: unknown key") as refused:
        read(f"{rate}input_eur = 1", tmp_path=tmp_path)
    assert "input_usd" in refused.value.hint


def test_an_unknown_key_in_the_environment_is_a_warning() -> None:
    assert read(INNKEEPER__SERVER__PROT="1").warnings == ("environment: server.prot = '1' is unknown and ignored",)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[server]\nprot = 1", "server.prot", "'port'"),
        ("[server]\nport = 'x'", "server.port", "'x'"),
        ("server = 2", "server", "2"),
        ("[engines.policy]\nkind = 'onx'", "engines.policy.kind", "'onnx'"),
        ("[engines.policy]\nthread = 1", "engines.policy.thread", "'threads'"),
        ("[ladder]\nbehavior = 3", "ladder.behavior", "3"),
        ("[modules.exmple]\ntries_max = 1", "modules.exmple", "'example'"),
        ("[modules.example]\ntries_max = 'many'", "modules.example.tries_max", "'many'"),
    ],
)
def test_a_wrong_file_is_one_error_with_file_key_value_and_expectation(
    tmp_path: Path, text: str, key: str, hint: str
) -> None:
    with pytest.raises(Invalid) as refused:
        read(text, tmp_path=tmp_path)
    assert "mine.toml" in refused.value.message
    assert f" {key}:" in refused.value.message
    assert hint in refused.value.hint


def test_a_file_that_is_not_toml_is_named_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"mine\.toml: not TOML.*line 1"):
        read("mode = = 2", tmp_path=tmp_path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(Invalid, match="nowhere"):
        layers(PROFILES, mode=1, file=Path("nowhere.toml"), environment={}, flags={})


def test_the_base_profile_lists_every_limit_of_every_module() -> None:
    loaded = load(layers(PROFILES, mode=2, file=None, environment={}, flags={}), MODULE_SETTINGS)
    listed = {key for key, origin in loaded.origins.items() if origin.endswith("base.toml")}
    expected = {key for module, settings in MODULE_SETTINGS.items() for key in leaves(f"modules.{module}", settings())}
    assert expected <= listed


def leaves(prefix: str, settings: msgspec.Struct) -> Iterator[str]:
    """The keys of all values, those of nested tables too."""
    for field in settings.__struct_fields__:
        value = getattr(settings, field)
        if isinstance(value, msgspec.Struct):
            yield from leaves(f"{prefix}.{field}", value)
        elif value != {}:  # a table that an operator fills has no keys of its own
            yield f"{prefix}.{field}"
