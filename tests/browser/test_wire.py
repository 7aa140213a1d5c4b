"""How the page keeps in touch (`gateway/web/wire.js`), with sockets and answers that are made up."""

from __future__ import annotations

from playwright.async_api import Page, expect
from stage import URL, stage

LIVE = """async (announced) => {
  const { Live } = await import("/web/wire.js");
  window.shown = [];
  const show = (state) => window.shown.push(state);
  window.live = new Live("g", { hear() {}, show, seq: () => null, announced });
}"""


async def _live(browser, *, announced: bool = False) -> Page:
    page = await stage(browser, driven=True)
    await page.evaluate(LIVE, announced)
    return page


async def test_a_planned_restart_is_waited_for(browser):
    """Told to come back within a minute, the page keeps the moment it drew, though its socket closes."""
    page = await _live(browser)
    found = await page.evaluate(
        """() => {
          const [socket] = sockets;
          socket.says({ type: "resumed" });
          socket.says({ type: "reconnect", after_ms: 60_000 });
          socket.ends(1012);
          const planned = delays();
          elapse();
          return { planned, sockets: sockets.length, shown };
        }"""
    )
    assert found == {"planned": [30_000], "sockets": 2, "shown": ["live", "waiting"]}


async def test_after_a_planned_restart_losses_are_answered_at_once(browser):
    """A plan is good for one reconnect: the next loss is met with the usual, growing delay."""
    page = await _live(browser)
    delays = await page.evaluate(
        """() => {
          sockets[0].says({ type: "reconnect", after_ms: 60_000 });
          elapse();
          const seen = [];
          for (let i = 0; i < 3; i += 1) {
            sockets.at(-1).ends(1006);
            seen.push(...delays());
            elapse();
          }
          return seen;
        }"""
    )
    assert delays == [300, 600, 1200]


async def test_an_announced_game_is_waited_for(browser):
    """A rematch that isn't there yet is asked for again, until it is there."""
    page = await _live(browser, announced=True)
    shown = await page.evaluate(
        """() => {
          for (let i = 0; i < 3; i += 1) {
            sockets.at(-1).ends(4404);
            elapse();
          }
          sockets.at(-1).says({ type: "snapshot" });
          return shown;
        }"""
    )
    assert shown == ["early", "early", "early", "live"]


async def test_nobody_waits_forever_for_an_announced_game(browser):
    """A game that never comes is given up, and one that nobody announced at once."""
    for announced in (True, False):
        page = await _live(browser, announced=announced)
        shown = await page.evaluate(
            """() => {
              while (shown.at(-1) !== "gone" && sockets.length < 50) {
                sockets.at(-1).ends(4404);
                elapse();
              }
              return shown;
            }"""
        )
        assert shown[-1] == "gone"
        assert len(shown) == (9 if announced else 1)


class Server:
    """Answers like the system, and knows only the tokens that it gave out itself."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def __call__(self, method: str, path: str, token: str | None) -> tuple[int, object]:
        """Answer a request."""
        self.asked.append((method, path))
        if path == "/tokens":
            self.known.append(f"token-{len(self.known)}")
            user = {"id": f"user-{len(self.known)}", "name": "Ann"}
            return 201, {"token": self.known[-1], "user": user}
        if token is not None and token not in self.known:
            return 401, {"code": "unauthenticated", "title": "Who is this?"}
        if method == "POST" and token is None:
            return 401, {"code": "unauthenticated", "title": "Who is this?"}
        return 200, {"id": "g1"}


async def _holds_a_bad_token(page: Page) -> None:
    await page.evaluate(
        """() => {
          sessionStorage.setItem("token", "stale");
          sessionStorage.setItem("user", '{"id": "user-0", "name": "Ann"}');
        }"""
    )
    await page.reload()


async def test_a_bad_token_is_replaced(browser):
    """Who comes back with a token that isn't good any more creates a game all the same, once."""
    server = Server()
    page = await stage(browser, server, driven=True)
    await _holds_a_bad_token(page)
    form = page.locator("#create")
    await expect(form.get_by_label("Your name")).to_have_value("Ann")
    await form.get_by_role("button").click()
    await page.wait_for_url(f"{URL}?game=g1")
    assert server.asked == [("POST", "/games"), ("POST", "/tokens"), ("POST", "/games")]
    assert await page.evaluate("sessionStorage.getItem('token')") == "token-0"


async def test_reading_needs_no_token(browser):
    """A bad token doesn't keep anybody from reading: it's forgotten, and the question asked again."""
    server = Server()
    page = await stage(browser, server, driven=True)
    await _holds_a_bad_token(page)
    game = await page.evaluate(
        """async () => (await import("/web/wire.js")).ask("GET", "/games/g1")"""
    )
    assert game == {"id": "g1"}
    assert server.asked == [("GET", "/games/g1")] * 2
    assert await page.evaluate("sessionStorage.getItem('token')") is None


async def test_a_server_that_takes_no_token_at_all_is_not_asked_forever(browser):
    """If the new token is refused as well, the page says so and stops."""
    server = Server()
    page = await stage(
        browser, lambda method, path, token: server(method, path, token and "bad"), driven=True
    )
    await page.locator("#create").get_by_label("Your name").fill("Ann")
    await page.locator("#create").get_by_role("button").click()
    await expect(page.locator("#create .note")).to_have_text("Who is this?")
    assert server.asked == [("POST", "/tokens"), ("POST", "/games")] * 2
