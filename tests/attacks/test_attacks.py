"""The whole suite against a real server process: whatever the model does, nothing gets through."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.build import MODULE_SETTINGS, ROOT, build
from app.build.access import DEFAULT_TENANT
from app.cli.attacks.oracle import effects, frozen
from app.cli.attacks.runner import UNHURRIED, Answer, Report, attack_over, run_attacks, settle
from app.cli.attacks.stub import KINDS, WRITERS, Provider
from app.cli.attacks.village import ALLOWED, WORLD
from app.core.profile import layers, load
from app.world.gate import acts, disguises, revise, secrets, speech
from tests.attacks.cases import FAMILIES, attacks
from tests.servers import Link, connect, start


class Wire:
    """A game server on the wire."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def ask(self, op: str, data: dict[str, Any]) -> dict[str, Any]:
        reply = await self.link.ask(op, data)
        assert reply["ok"], reply
        return dict(reply["data"])

    async def say(self, dialogue: str, speaker: str, text: str) -> Answer:
        del self.link.chunks[:]
        said = await self.ask("dialogue.say", {"dialogue": dialogue, "speaker": speaker, "text": text})
        pieces = tuple(str(frame["chunk"]["text"]) for frame in self.link.chunks)
        return Answer(text=said["text"], pieces=pieces, rung=said["rung"], ai_generated=said["ai_generated"])


def options(url: str) -> list[str]:
    settings = {
        **UNHURRIED,
        "engines.openai.base_url": url,
        "engines.openai.key_env": "",
        "engines.words.providers": "openai",
    }
    return [f"--set={key}={value}" for key, value in settings.items()]


async def state_in(folder: Path) -> Any:
    """The world as the log of a server that has ended tells it."""
    flags = {"server.data_folder": str(folder), "telemetry.log_level": "error"}
    files = layers(ROOT / "profiles", mode=1, file=ROOT / "profiles" / "test.toml", environment={}, flags=flags)
    innkeeper = await build(load(files, MODULE_SETTINGS).profile)
    try:
        return innkeeper.worlds.get(DEFAULT_TENANT, WORLD).state
    finally:
        await innkeeper.close()


@pytest.mark.parametrize("stub", KINDS)
async def test_nothing_gets_through_a_real_server(tmp_path: Path, stub: str) -> None:
    report = Report()
    async with Provider(WRITERS[stub], torn=stub == "noise") as provider:
        server = await asyncio.to_thread(start, tmp_path, *options(provider.url), environment={"NO_PROXY": "127.0.0.1"})
        try:
            async with connect(server, world=WORLD) as link:
                game = Wire(link)
                await settle(game)
                asked = len(provider.prompts)
                await attack_over(game, provider, attacks(), stub, report)
                offers = [push["data"] for push in link.pushes if push["op"] == "world.proposal"]
            assert await asyncio.to_thread(server.stop) == 0
        finally:
            if server.process.poll() is None:
                server.kill()
    assert report.held, report.through[:5]
    assert asked, "the stub was asked"
    assert report.cases >= 300
    assert report.refused < report.cases, "the stub was heard at all"
    assert {(offer["npc"], offer["action"]) for offer in offers} <= ALLOWED
    state = await state_in(tmp_path)
    assert effects(frozen(state), state) == []
    assert (state.items["crown"].holder, state.items["rope"].holder) == ("anna", "p1")
    assert not state.locations["mill"].open
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_there_are_three_hundred_attacks_in_eight_families() -> None:
    cases = attacks()
    assert len(FAMILIES) == 8
    assert len({prompt.turns for prompt in cases}) >= 300
    assert min(sum(prompt.family == family for prompt in cases) for family in FAMILIES) >= 40


async def test_without_acts_being_judged_the_oracle_sees_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    allow = acts.Verdict(allowed=True)
    monkeypatch.setattr("app.modules.dialogue.judging.check_proposal", lambda *_args, **_options: allow)
    report = await run_attacks(attacks()[:6], "obey")
    assert report.unauthorised_effects
    assert not report.held


async def test_without_guards_the_oracle_sees_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disguises.Guard, "echoes", lambda _self, _forms: False)
    monkeypatch.setattr(disguises.Mark, "shown", lambda _self, _leet: False)
    monkeypatch.setattr(secrets.SecretsView, "echoes", lambda _self, _forms: False)
    monkeypatch.setattr(secrets.SecretsView, "found", lambda _self, _text: "")
    told = await run_attacks(attacks()[:40], "obey")
    assert told.player_leaks
    echoed = await run_attacks(attacks()[:40], "echo")
    assert echoed.prompt_leaks


async def test_without_cleaning_the_oracle_sees_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "clean_output", lambda text: text)
    monkeypatch.setattr(speech, "encoded", lambda _text: "")
    monkeypatch.setattr("app.modules.dialogue.judging.revise", keep)
    report = await run_attacks(attacks()[:20], "noise")
    assert report.markup


def keep(*args: Any, **_options: Any) -> revise.Revision:
    """A gate that lets every sentence through as it is, but for what cannot even be written down."""
    return revise.Revision(text=str(args[3]).encode("utf-8", "ignore").decode())
