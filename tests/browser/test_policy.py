"""The pages under their Content-Security-Policy, served by a gateway without a system behind it."""

from __future__ import annotations

import sys
from pathlib import Path

from person import Person
from playwright.async_api import expect

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "gateway"))
from gateway_of_tests import running


async def test_the_pages_do_all_they_do_under_their_policy(browser):
    """Neither page asks for anything that its policy forbids; both show what they're for."""
    async with running() as gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        reader = await Person.open(browser, f"{url}/docs")
        await expect(reader.page.locator("summary code").first).to_be_visible()
        assert await reader.page.evaluate("getComputedStyle(document.body).maxWidth") != "none"
        ann = await Person.open(browser, url)
        link = await ann.create("Ann")
        bob = await Person.open(browser, link)
        await bob.join("Bob")
        await ann.moves("e2e4")
        await bob.sees("e4 white pawn")
        assert [reader.complaints, ann.complaints, bob.complaints] == [[], [], []]


async def test_what_does_not_stand_in_the_page_does_not_run(browser):
    """A script that got into the page by another way is stopped."""
    async with running() as gateway:
        for path in ("/", "/docs"):
            person = await Person.open(browser, f"http://127.0.0.1:{gateway.port}{path}")
            await person.page.evaluate(
                "const s = document.createElement('script'); s.textContent = 'window.evil = 1';"
                " document.body.append(s)"
            )
            assert await person.page.evaluate("window.evil") is None
