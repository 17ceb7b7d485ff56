"""The console in a real Chromium, over a real server: sign-in, the live map, an NPC's panel, a talk."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright, expect

import app.edge.console
from app.modules.behavior.messages import Explained, Reason
from tests.edge.fixtures import village
from tests.servers import Server, running

STATIC = Path(app.edge.console.__file__).parent / "static"
SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_MS = 15_000
NPCS = 12
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
DECISION = Explained(
    npc="n0", tick=4_711, intent="trade", target=2, confidence=0.82, rung="utility", rule="sell_surplus",
    features={"hunger": 0.9, "energy": 0.0, "recent_damage": 0.25, "doing_trade": 1.0}, scores={"trade": 0.8},
    reasons=(Reason(name="hunger", value=0.9, effect=0.5), Reason(name="recent_damage", value=0.25, effect=-0.3)),
    directive="work", ai_generated=False,
)  # fmt: skip
AA = 4.5
"""The contrast that WCAG 2.2 asks of text (success criterion 1.4.3)."""

_numbers = count()
in_browser = [pytest.mark.needs_browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium on the path: install the package `chromium` (apt-get install chromium)")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield opened
        await opened.close()


class Village:
    """A small village on the server, with everyone standing where the test puts them."""

    def __init__(self, server: Server) -> None:
        self.id = f"village-{next(_numbers)}"
        self.client = village.Client(server.url, server.key)
        self.people = village.populate(self.client, self.id, npcs=NPCS)
        self.place()

    def place(self) -> None:
        """Stand everyone in one row of the map, five cells apart."""
        for number, person in enumerate(self.people):
            person.x, person.y = 4.0 + 5 * number, 18.0
        self.report(43_200.0)

    def report(self, game_s: float) -> None:
        village.report(self.client, self.id, self.people, game_s)

    def put(self, **npc: Any) -> None:
        self.client.send("/v1/world/upsert", {"world": self.id, "entities": [{"type": "npc", **npc}]})


@pytest.fixture
def made(server: Server) -> Village:
    return Village(server)


def code(server: Server) -> str:
    status, answer = server.post("/v1/auth/code", {})
    assert status == 200, answer
    return str(answer["code"])


@asynccontextmanager
async def opened(browser: Browser, server: Server, world: str = "", **context: Any) -> AsyncIterator[Page]:
    """A page that is signed in and shows `world`; anything that the browser complains of fails the test."""
    tab = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
    page = await tab.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    page.set_default_timeout(WAIT_MS)
    if world:
        await page.add_init_script(f"sessionStorage.setItem('innkeeper.world', {world!r})")
        await page.goto(f"{server.url}/console/#{code(server)}")
        await expect(page.locator("#map")).to_have_attribute("data-drawn", re.compile("[1-9]"), timeout=WAIT_MS)
    try:
        yield page
        assert complaints == []
    finally:
        await tab.close()


async def spot(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the map stands in the window, in pixels."""
    canvas = page.locator("#map")
    center_x, center_y, scale = map(float, (await canvas.get_attribute("data-view") or "").split())
    box = await canvas.bounding_box()
    assert box is not None
    return (
        box["x"] + box["width"] / 2 + (x - center_x) * scale,
        box["y"] + box["height"] / 2 + (y - center_y) * scale,
    )


async def choose(page: Page, name: str) -> None:
    await page.fill("#search", name)
    await page.press("#search", "Enter")
    await expect(page.locator(".side h2")).to_contain_text(name, timeout=WAIT_MS)


class TestSignIn:
    pytestmark = in_browser

    async def test_code_link_signs_in_once_and_leaves_the_address(self, browser: Browser, server: Server) -> None:
        once = code(server)
        async with opened(browser, server) as page:
            await page.goto(f"{server.url}/console/#{once}")
            await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
            assert once not in page.url
        async with opened(browser, server) as page:
            await page.goto(f"{server.url}/console/#{once}")
            await expect(page.get_by_role("alert")).to_contain_text("API key", timeout=WAIT_MS)
            await expect(page.locator("#use-key")).to_be_visible()

    async def test_pasted_key_signs_in_and_is_not_kept(self, browser: Browser, server: Server) -> None:
        async with opened(browser, server) as page:
            await page.goto(f"{server.url}/console")
            await page.click("#use-key")
            await page.fill("#key", "ik_wrong")
            await page.press("#key", "Enter")
            await expect(page.get_by_role("alert")).to_be_visible(timeout=WAIT_MS)
            await page.fill("#key", server.key.strip())
            await page.press("#key", "Enter")
            await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
            kept = await page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
            assert server.key.strip() not in kept
            await page.reload()
            await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
            await page.click("#leave")
            await expect(page.locator("#login")).to_be_visible()
            assert "innkeeper.session" not in await page.evaluate("JSON.stringify({...sessionStorage})")

    async def test_token_is_renewed_before_it_ends(self, browser: Browser, server: Server) -> None:
        async with opened(browser, server) as page:
            await page.clock.install()
            await page.goto(f"{server.url}/console/#{code(server)}")
            await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
            async with page.expect_response("**/v1/auth/refresh") as answer:
                await page.clock.fast_forward("12:00")
            assert (await answer.value).status == 200


class TestMap:
    pytestmark = in_browser

    async def test_everyone_is_drawn_on_the_map_where_the_game_reported_them(
        self, browser: Browser, server: Server, made: Village
    ) -> None:
        async with opened(browser, server, made.id) as page:
            canvas = page.locator("#map")
            await expect(canvas).to_have_attribute("data-map", "village")
            await expect(canvas).to_have_attribute("data-drawn", str(NPCS))
            await expect(page.locator(".clock")).to_have_text("Day 1, 12:00")
            made.people[0].x, made.people[0].y = 40.0, 30.0
            made.report(46_800.0)
            await expect(page.locator(".clock")).to_have_text("Day 1, 13:00")
            await page.wait_for_timeout(700)
            await page.mouse.click(*await spot(page, 40.0, 30.0))
            await expect(canvas).to_have_attribute("data-chosen", made.people[0].id)

    async def test_newcomers_appear_and_the_dead_vanish(self, browser: Browser, server: Server, made: Village) -> None:
        async with opened(browser, server, made.id) as page:
            made.put(id="n0", name="Mara Reed", alive=False)
            await expect(page.locator("#map")).to_have_attribute("data-drawn", str(NPCS - 1), timeout=WAIT_MS)
            made.put(id="new", name="A newcomer")
            made.people.append(village.Stroller("new", 20.0, 18.0, 0.0))
            made.report(50_000.0)
            await expect(page.locator("#map")).to_have_attribute("data-drawn", str(NPCS), timeout=WAIT_MS)

    async def test_legend_hides_and_shows_a_kind(self, browser: Browser, server: Server, made: Village) -> None:
        async with opened(browser, server, made.id) as page:
            guards = page.locator(".legend button", has_text="guard")
            await guards.click()
            await expect(guards).to_have_attribute("aria-pressed", "false")
            await expect(page.locator("#map")).to_have_attribute("data-drawn", str(NPCS - 2))
            await guards.click()
            await expect(page.locator("#map")).to_have_attribute("data-drawn", str(NPCS))

    async def test_keyboard_alone_moves_the_map_and_finds_someone(
        self, browser: Browser, server: Server, made: Village
    ) -> None:
        async with opened(browser, server, made.id) as page:
            await page.focus("#map")
            before = await page.get_attribute("#map", "data-view")
            await page.keyboard.press("+")
            await page.keyboard.press("ArrowRight")
            await expect(page.locator("#map")).not_to_have_attribute("data-view", before or "")
            await page.keyboard.press("/")
            await page.keyboard.type("odo")
            await page.keyboard.press("ArrowDown")
            await page.keyboard.press("Enter")
            await expect(page.locator(".side h2")).to_have_text("Odo Reed")
            await page.keyboard.press("Escape")
            await expect(page.locator(".side")).to_be_hidden()

    async def test_page_comes_back_with_a_restarted_server(self, browser: Browser, tmp_path: Path) -> None:
        with running(tmp_path) as server:
            made = Village(server)
            async with opened(browser, server, made.id) as page:
                server.kill()
                await expect(page.locator(".chip .lamp")).to_have_text("reconnecting", timeout=WAIT_MS)
                await expect(page.locator(".status .lamp")).to_contain_text("unreachable", timeout=WAIT_MS)
                with running(tmp_path, "--port", server.url.rpartition(":")[2]):
                    await expect(page.locator(".chip .lamp")).to_have_text("live", timeout=WAIT_MS)
                    await expect(page.locator(".status .lamp")).to_have_text("ready", timeout=WAIT_MS)
                    made.report(50_000.0)
                    await expect(page.locator("#map")).to_have_attribute("data-drawn", str(NPCS), timeout=WAIT_MS)


class TestPanel:
    pytestmark = in_browser

    async def test_panel_tells_who_an_npc_is(self, browser: Browser, server: Server, made: Village) -> None:
        async with opened(browser, server, made.id) as page:
            await choose(page, "Harl Reed")
            mind = page.locator("#mind")
            await expect(mind).to_contain_text("Harl Reed has lived here for ever")
            await expect(mind).to_contain_text("slow and warm")
            await expect(mind).to_contain_text(re.compile("|".join(name for name, _, _ in village.PLACES.values())))

    async def test_panel_tells_what_it_wants_and_why(self, browser: Browser, server: Server, made: Village) -> None:
        async with opened(browser, server, made.id) as page:

            async def add_decision(route: Route) -> None:
                answer = await route.fetch()
                await route.fulfill(json={**await answer.json(), "behavior": msgspec.to_builtins(DECISION)})

            await page.route("**/npcs/n0", add_decision)
            await choose(page, "Mara Reed")
            mind = page.locator("#mind")
            await expect(page.locator("#intent")).to_have_text("trade → slot 2")
            await expect(page.locator(".decision .rung")).to_have_text("utility")
            for shown in ("confidence", "0.82", "recent damage 0.25", "-0.30", "sell surplus", "hunger", "0.90"):
                await expect(mind).to_contain_text(shown)
            await expect(mind).not_to_contain_text("doing trade")

    async def test_talk_shows_the_answer_and_who_wrote_it(
        self, browser: Browser, server: Server, made: Village
    ) -> None:
        async with opened(browser, server, made.id) as page:
            await choose(page, "Ysolde Reed")
            await page.click("#talk-tab")
            for line in ("Hello there", "Where is the smithy?"):
                await page.fill("#line", line)
                await page.keyboard.press("Enter")
                answer = page.locator(".line.theirs").last
                await expect(answer.locator(".credits")).to_be_visible(timeout=WAIT_MS)
                await expect(answer.locator(".line-text")).not_to_be_empty()
                await expect(answer.locator(".rung")).not_to_be_empty()
                await expect(answer.locator(".mark")).to_have_text("no AI")
            await page.click("#mind-tab")
            await expect(page.locator("#mind")).to_contain_text("Where is the smithy?", timeout=WAIT_MS)

    async def test_refusal_is_shown_with_its_hint(self, browser: Browser, server: Server, made: Village) -> None:
        async with opened(browser, server, made.id) as page:
            await choose(page, "Tam Reed")
            gone = {"world": made.id, "kind": "npc", "ids": ["n3"]}
            made.client.send("/v1/world/remove", gone)
            problem = page.locator("#mind .problem")
            await expect(problem).to_contain_text("no NPC 'n3'", timeout=WAIT_MS)
            await expect(problem.locator("span")).not_to_be_empty()

    async def test_hostile_names_and_lines_stay_text(self, browser: Browser, server: Server, made: Village) -> None:
        persona = {"summary": HOSTILE, "traits": [HOSTILE], "lines": {"greet": [HOSTILE]}}
        made.put(id="n1", name=HOSTILE, archetype=HOSTILE, tags=[HOSTILE], persona=persona, home=HOSTILE)
        async with opened(browser, server, made.id) as page:
            await choose(page, HOSTILE)
            await expect(page.locator(".persona")).to_have_text(HOSTILE)
            await page.click("#talk-tab")
            await page.fill("#line", HOSTILE)
            await page.click(".say button")
            await expect(page.locator(".line.mine .line-text")).to_have_text(HOSTILE)
            await expect(page.locator(".credits")).to_be_visible(timeout=WAIT_MS)
            assert await page.title() == "Innkeeper console"
            assert await page.locator("main img, main script").count() == 0

    async def test_panel_is_a_bottom_sheet_on_a_phone(self, browser: Browser, server: Server, made: Village) -> None:
        phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
        async with opened(browser, server, made.id, **phone) as page:
            await page.touchscreen.tap(*await spot(page, made.people[2].x, made.people[2].y))
            side = await page.locator(".side").bounding_box()
            assert side is not None
            assert side["width"] == 390
            assert side["y"] > 300
            assert await page.evaluate("document.documentElement.scrollWidth") == 390


def test_page_asks_nobody_but_its_own_server() -> None:
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", text), path.name


def test_page_never_parses_text_as_html() -> None:
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc")
    for path in STATIC.glob("*.js"):
        assert not ways.search(path.read_text()), path.name


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_aa_contrast(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "app.css").read_text(), re.S)
    colors = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[scheme]))
    grounds = [colors[name] for name in ("paper", "surface", "raised")]
    pairs = [(colors[ink], ground) for ink in ("ink", "dim", "good", "fair", "bad") for ground in grounds]
    for ink, ground in [*pairs, (colors["on-accent"], colors["accent"])]:
        assert contrast(ink, ground) >= AA, (ink, ground)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two sRGB colors (WCAG 2.2, relative luminance)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
