"""People at the console in a real Chromium: joining, signing in by each way, and changing what they sign in with."""

from __future__ import annotations

import re
import time

import numpy as np
import pyotp
import pytest
import zxingcpp
from playwright.async_api import Browser, Page, expect

from tests.edge.test_console import WAIT_MS, browser, in_browser, opened
from tests.servers import Server

__all__ = ["browser"]
pytestmark = in_browser
PASSWORD = "seven ravens over Ulm"


def by_name(server: Server) -> str:
    """The server's address by a name, which passkeys need."""
    return server.url.replace("127.0.0.1", "localhost")


def invite(server: Server, login: str) -> str:
    status, invited = server.post("/v1/operators", {"login": login, "role": "owner"})
    assert status == 200, invited
    return f"{by_name(server)}{invited['path']}"


def next_code(secret: str) -> str:
    """The code of the step after this one, which counts already and was not used."""
    return pyotp.TOTP(secret).at(time.time() + 30)


async def authenticator(page: Page) -> None:
    """A device of the browser's that makes passkeys and verifies its owner (WebAuthn, 11.2)."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


async def scanned(page: Page) -> str:
    """What a telephone reads from the QR code on the page."""
    box = str(await page.locator(".qr").get_attribute("viewBox"))
    path = str(await page.locator(".qr path").get_attribute("d"))
    side = int(box.split()[2])
    modules = np.full((side, side), 255, np.uint8)
    for x, y in re.findall(r"M(\d+) (\d+)", path):
        modules[int(y), int(x)] = 0
    (found,) = zxingcpp.read_barcodes(np.kron(modules, np.ones((4, 4), np.uint8)))
    return str(found.text)


async def join_with_app(page: Page, link: str) -> tuple[str, list[str]]:
    """(the authenticator's secret, recovery codes) of somebody who joins by a password and an app."""
    await page.goto(link)
    await page.check("input[value=totp]")
    await page.click("text=Continue")
    await page.fill("#password", PASSWORD)
    await page.click("text=Continue")
    secret = (await page.locator(".secret").inner_text()).replace(" ", "")
    assert f"secret={secret}&issuer=Innkeeper" in await scanned(page)
    await page.fill("#code", pyotp.TOTP(secret).now())
    await page.click("button.primary")
    await expect(page.locator(".codes li")).to_have_count(10, timeout=WAIT_MS)
    codes = await page.locator(".codes li").all_inner_texts()
    await page.click("text=I have kept them")
    await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
    return secret, codes


async def test_somebody_joins_by_a_link_and_signs_in_with_an_app_or_a_recovery_code(
    browser: Browser, server: Server
) -> None:
    link = invite(server, "ann")
    async with opened(browser, server) as page:
        secret, codes = await join_with_app(page, link)
        assert "invite" not in page.url
        await page.click("#leave")
        for way, code in (("#code", next_code(secret)), ("#use-recovery", codes[0])):
            await page.fill("#login", "Ann")
            await page.fill("#password", PASSWORD)
            await page.click("button.primary")
            if way != "#code":
                await page.click(way)
            await page.fill("#code", code)
            await page.click("button.primary")
            await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
            kept = await page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
            assert PASSWORD not in kept
            await page.click("#leave")
        await page.goto(link)
        await expect(page.get_by_role("alert")).to_contain_text("does not hold", timeout=WAIT_MS)


async def test_a_passkey_is_made_on_joining_and_signs_in_alone(browser: Browser, server: Server) -> None:
    link = invite(server, "pia")
    async with opened(browser, server) as page:
        await authenticator(page)
        await page.goto(link)
        await page.fill("#login", "pia.k")
        await page.click("button.primary")
        await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
        await page.click("#leave")
        await page.click("#use-passkey")
        await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)
        await page.click("text=Account")
        await expect(page.locator(".account h1")).to_have_text("pia.k", timeout=WAIT_MS)
        await page.click("text=Remove")
        await expect(page.get_by_role("alert")).to_contain_text("last way", timeout=WAIT_MS)


async def test_a_wrong_password_and_a_wrong_code_say_so_and_let_try_again(browser: Browser, server: Server) -> None:
    link = invite(server, "cat")
    async with opened(browser, server) as page:
        secret, _ = await join_with_app(page, link)
        await page.click("#leave")
        await page.fill("#login", "cat")
        await page.fill("#password", "not that one")
        await page.click("button.primary")
        await expect(page.get_by_role("alert")).to_contain_text("do not open anything", timeout=WAIT_MS)
        await page.fill("#password", PASSWORD)
        await page.click("button.primary")
        await page.fill("#code", "000000")
        await page.click("button.primary")
        await expect(page.get_by_role("alert")).to_contain_text("does not hold", timeout=WAIT_MS)
        await page.fill("#code", next_code(secret))
        await page.click("button.primary")
        await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)


async def test_an_account_gets_a_passkey_other_codes_and_another_password(browser: Browser, server: Server) -> None:
    link = invite(server, "dan")
    async with opened(browser, server) as page:
        await authenticator(page)
        await join_with_app(page, link)
        await page.click("text=Account")
        await page.click("#add-passkey")
        await expect(page.locator(".account .cards li")).to_have_count(1, timeout=WAIT_MS)
        await page.click("#new-codes")
        await page.click("text=I have kept them")
        await page.click("#change-password")
        await page.fill("#current", PASSWORD)
        await page.fill("#password", "eight ravens over Ulm")
        await page.click("button.primary")
        await expect(page.locator(".account")).to_contain_text("10 recovery codes", timeout=WAIT_MS)
        await page.click("#leave")
        await page.click("#use-passkey")
        await expect(page.locator("#leave")).to_be_visible(timeout=WAIT_MS)


async def test_the_page_fits_a_phone_and_begins_at_the_login(browser: Browser, server: Server) -> None:
    async with opened(browser, server, viewport={"width": 390, "height": 844}) as page:
        for address in (f"{server.url}/console", invite(server, "fay")):
            await page.goto("about:blank")
            await page.goto(address)
            await expect(page.locator("#login")).to_be_focused(timeout=WAIT_MS)
            assert await page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("length", [20, 60, 130, 190, 215])
async def test_a_qr_code_of_any_size_is_read_as_it_was_written(browser: Browser, server: Server, length: int) -> None:
    text = ("otpauth://totp/Innkeeper:ünïcode?secret=" * 6)[: length - 4]
    async with opened(browser, server) as page:
        await page.goto(f"{server.url}/console")
        drawing = "async (text) => document.body.append((await import('/console/qr.js')).qrCode(text, ''))"
        await page.evaluate(drawing, text)
        assert await scanned(page) == text


async def test_sign_out_ends_the_session_on_the_server(browser: Browser, server: Server) -> None:
    link = invite(server, "eve")
    async with opened(browser, server) as page:
        await join_with_app(page, link)
        kept = await page.evaluate("JSON.parse(sessionStorage.getItem('innkeeper.session'))")
        bearer = {"Authorization": f"Bearer {kept['token']}"}
        assert server.request("GET", "/v1/me", None, headers=bearer)[0] == 200
        async with page.expect_response(re.compile("/v1/auth/revoke")):
            await page.click("#leave")
        assert server.request("GET", "/v1/me", None, headers=bearer)[0] == 401
