"""The page without a system behind it: its own files, and answers that a test makes up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.async_api import BrowserContext, Page, Route

WEB = Path(__file__).parents[2] / "gateway" / "web"
URL = "http://page.test/"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Api = Callable[[str, str, str | None], tuple[int, object]]
"""(method, path, bearer token) -> (status, JSON)."""

_DRIVEN = """
window.sockets = [];
window.timers = new Map();
window.WebSocket = class {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor(url, protocols) { Object.assign(this, { url, protocols }); window.sockets.push(this); }
  send(frame) { this.sent.push(JSON.parse(frame)); }
  close() { this.readyState = 3; }
  says(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
  ends(code) { this.readyState = 3; this.onclose({ code }); }
};
let last = 0;
window.setTimeout = (run, delay) => { window.timers.set(last += 1, { run, delay }); return last; };
window.clearTimeout = (timer) => window.timers.delete(timer);
window.elapse = () => {
  const due = [...window.timers.values()];
  window.timers.clear();
  due.forEach(({ run }) => run());
};
window.delays = () => [...window.timers.values()].map(({ delay }) => delay);
Math.random = () => 0.5;
"""


async def stage(
    browser: BrowserContext, api: Api | None = None, *, driven: bool = False, at: str = ""
) -> Page:
    """Open the page. If it's `driven`, its sockets and timers do only what the test tells them."""
    page = await browser.new_page()

    async def answer(route: Route) -> None:
        request = route.request
        path = "/" + request.url.removeprefix(URL)
        file = WEB / path.removeprefix("/web/")
        if path.startswith("/web/"):
            await route.fulfill(path=file, content_type=TYPES[file.suffix])
        elif path == "/" or path.startswith("/?"):
            await route.fulfill(path=WEB / "index.html", content_type="text/html")
        else:
            assert api is not None, path
            token = (await request.header_value("authorization") or "").removeprefix("Bearer ")
            status, body = api(request.method, path, token or None)
            kind = "application/json"
            await route.fulfill(status=status, body=json.dumps(body), content_type=kind)

    await page.route("**/*", answer)
    if driven:
        await page.add_init_script(_DRIVEN)
    await page.goto(URL + at)
    return page
