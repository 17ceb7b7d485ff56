"""What may leave this machine: seen at the socket, where a stand-in that listens hears nobody knock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from app.control.tenants import convert_settings, offer_of
from app.core.engines import Hedging, Task
from app.core.engines import Orchestrator as Settings
from app.core.errors import EngineDown, Invalid, NotPermitted
from app.core.tenants import Held, TenantSettings
from app.core.words import Bill
from app.engines.orchestration.members import Limits
from app.engines.orchestration.sovereignty import region_of
from tests.doubles import ManualClock
from tests.engines.conftest import COMPLETION, drain, open_at, soon
from tests.engines.orchestration.scripts import Engine, over
from tests.engines.orchestration.test_profile import load
from tests.standin import Standin


class Restricting:
    """Rules of a tenant whose world `vault` is restricted, or every world."""

    def __init__(self, *worlds: str) -> None:
        self.worlds = worlds

    def of(self, tenant: str) -> Held:
        return Held(tenant=tenant, settings=TenantSettings(restricted_worlds=self.worlds))


class Ear(Standin):
    """A stand-in that counts connections, whether or not a request comes over them."""

    knocks = 0

    async def _serve(self, reader, writer):  # type: ignore[no-untyped-def]  # as the stand-in's own
        self.knocks += 1
        await super()._serve(reader, writer)


@pytest_asyncio.fixture
async def ear() -> AsyncIterator[Ear]:
    async with Ear() as provider:
        yield provider


IN_VAULT = msgspec.structs.replace(COMPLETION, world="vault", npc="mira", player="p1", first_token_ms=900.0)


async def test_words_of_a_restricted_world_reach_nobody_outside(ear: Ear) -> None:
    cloud = open_at("openai", ear)
    engines = over(cloud, rules=Restricting("vault"), regions={"openai": "eu"})
    for variant in ("", "openai"):
        with pytest.raises(NotPermitted, match="not on this machine"):
            await drain(engines.stream(msgspec.structs.replace(IN_VAULT, variant=variant), soon()))
    assert ear.knocks == 0
    open_world = msgspec.structs.replace(IN_VAULT, world="vale")
    await drain(engines.stream(open_world, soon()))
    assert ear.knocks == 1, "the ear does hear"
    await engines.close()


async def test_neither_a_hedge_nor_a_probe_nor_a_fall_leaves_the_machine(ear: Ear) -> None:
    """The engine here is slow enough to be hedged, then falls, rests and is tried again."""
    clock, here, cloud = ManualClock(), Engine("llama", cost_nano_usd=0), open_at("openai", ear)
    settings = Settings(
        providers=("openai", "llama"),
        tasks={"dialogue.reply": Task(hedge=True, hard=("cloud",), easy=("cloud",))},
        hedging=Hedging(spend_share_max=1.0, saved_nano_usd_max=10**12, samples_min=1),
    )
    engines = over(
        cloud, here, clock=clock, settings=settings, rules=Restricting("vault"), regions={"openai": "eu"},
        limits={"llama": Limits(first_token_ms=3_000.0)},
    )  # fmt: skip
    engines._books.purse.earn(10**12)
    for wait_s in (0.0, 0.0, 0.05):
        here.wait_s = wait_s
        await drain(engines.stream(IN_VAULT, soon()))
    here.wait_s, here.fault = 0.0, EngineDown("llama fell over", failure="server")
    for pieces in ((), ("Well ",), (), ()):
        here.pieces = pieces
        with pytest.raises(EngineDown):
            await drain(engines.stream(IN_VAULT, soon()))
    clock.now_s += 5.0
    here.fault, here.pieces = None, ("Well met.",)
    assert (await drain(engines.stream(IN_VAULT, soon())))[0] == "Well met."
    assert ear.knocks == 0
    await engines.close()


@pytest.mark.parametrize(
    ("restricted", "world", "leaves"),
    [
        (("vault",), "vault", False),
        (("vault",), "vale", True),
        (("*",), "vale", False),
        (("*",), "", False),
        ((), "", True),
    ],
)
async def test_a_star_is_every_world(restricted: tuple[str, ...], world: str, leaves: bool) -> None:
    cloud, here = Engine("cloud"), Engine("llama")
    engines = over(cloud, here, rules=Restricting(*restricted), regions={"cloud": ""})
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, world=world), soon()))
    assert bool(cloud.asked) is leaves
    assert bool(here.asked) is not leaves


async def test_a_region_that_is_not_allowed_is_not_called_and_the_one_that_was_is_written_down() -> None:
    class InEurope:
        def of(self, tenant: str) -> Held:
            return Held(tenant=tenant, settings=TenantSettings(regions=("eu",)))

    us, nowhere, eu, bill = Engine("us"), Engine("nowhere"), Engine("eu"), Bill()
    engines = over(us, nowhere, eu, rules=InEurope(), regions={"us": "us", "nowhere": "", "eu": "eu"})
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, bill=bill), soon()))
    assert (us.asked, nowhere.asked) == ([], [])
    assert [(spent.engine, spent.region) for spent in bill.items] == [("eu", "eu")]


@pytest.mark.parametrize(
    ("base_url", "here"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://localhost:11434/v1", True),
        ("http://10.1.2.3/v1", False),
        ("http://192.168.0.9:8000/v1", False),
        ("http://169.254.169.254/v1", False),
        ("http://0.0.0.0:8080/v1", False),
        ("https://api.example.com/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://ollama:11434/v1", False),
        ("http://8.8.8.8/v1", False),
        ("", False),
    ],
)
def test_only_an_address_shows_that_an_engine_is_here(base_url: str, here: bool) -> None:
    assert (region_of(base_url=base_url, region="", proxy="") is None) is here
    assert region_of(base_url=base_url, region="eu", proxy="") == "eu", "a gateway may send words on"
    assert region_of(base_url=base_url, region="", proxy="http://proxy:3128") == ""
    assert region_of(base_url=base_url, region="here", proxy="") is None, "the operator's own word"


def test_a_tenant_may_choose_every_region_that_an_engine_is_in(tmp_path: Path) -> None:
    tables = """
[engines.openai]
data_residency = "eu"
[engines.anthropic]
inference_geo = "us"
[engines.box]
kind = "openai"
base_url = "http://10.0.0.7:8000/v1"
model = "qwen"
key_env = ""
region = "here"
"""
    offer = offer_of(load(tmp_path, tables))
    places = {name: offer.regions[name] for name in ("openai", "anthropic", "azure", "box", "llama")}
    assert places == {"openai": "eu", "anthropic": "us", "azure": "", "box": None, "llama": None}
    assert convert_settings({"regions": ["eu", "us"]}, offer).regions == ("eu", "us")
    with pytest.raises(Invalid, match="no engine is in region 'here'"):
        convert_settings({"regions": ["here"]}, offer)
