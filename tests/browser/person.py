"""A person at the page: does what hands do, sees what eyes see."""

from __future__ import annotations

import re

from playwright.async_api import BrowserContext, Locator, Page, expect

expect.set_options(timeout=20_000)


_KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); window.sockets.push(this); }
};
"""


class Person:
    """One tab. Whatever the browser complains about is kept in `complaints`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    @classmethod
    async def open(cls, browser: BrowserContext, url: str) -> Person:
        """Open a tab at `url`."""
        person = cls(await browser.new_page())
        await person.page.add_init_script(_KEEP_SOCKETS)
        await person.page.goto(url)
        return person

    async def create(self, name: str, *, color: str = "White", clock: str | None = None) -> str:
        """Create a game at the lobby; return the link for the opponent."""
        form = self.page.locator("#create")
        await form.get_by_label("Your name").fill(name)
        await form.get_by_label("Your colour").select_option(color)
        if clock is not None:
            await form.get_by_label("Time").select_option(clock)
        await self.press("Create a game")
        link = self.page.get_by_label("Send this link")
        await expect(link).to_have_value(re.compile(r"\?game=."))
        await self.is_live()
        return await link.input_value()

    async def join(self, name: str) -> None:
        """Take the open seat of the game that the tab shows."""
        form = self.page.locator("#join")
        await form.get_by_label("Your name").fill(name)
        await form.get_by_role("button", name=re.compile("Join as")).click()
        await expect(self.page.locator("#bottom b")).to_have_text(f"{name} (you)")
        await self.is_live()

    async def is_live(self) -> None:
        """Wait until the page says that it hears the game."""
        await expect(self.page.locator("#link")).to_have_text("Live")

    async def drop_connection(self) -> None:
        """Break the tab's socket, as a network does that goes away."""
        await self.page.evaluate("window.sockets.forEach((socket) => socket.close())")

    def square(self, square: str) -> Locator:
        """Return the button of a square."""
        return self.page.get_by_role("gridcell", name=re.compile(f"^{square} "))

    async def moves(self, move: str) -> None:
        """Click from square to square ("e2e4"), once it is this person's turn."""
        await expect(self.square(move[:2])).to_have_class(re.compile(r"\bown\b"))
        await self.square(move[:2]).click()
        await self.square(move[2:4]).click()

    async def press(self, name: str) -> None:
        """Press a button."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def sees(self, *labels: str) -> None:
        """See squares as a screen reader tells them: "e4 white pawn"."""
        for label in labels:
            await expect(self.page.get_by_role("gridcell", name=label, exact=True)).to_be_visible()

    async def reads(self, *moves: str) -> None:
        """Read exactly these moves in the list."""
        spans = self.page.locator("#moves span:not(:empty)")
        await expect(spans).to_have_text(list(moves))

    async def is_told(self, text: str) -> None:
        """See the result."""
        await expect(self.page.locator("#banner")).to_have_text(text)
