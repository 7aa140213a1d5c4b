"""A real Chromium without a window. Every tab is a person of its own: see `browser/person.py`."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def chromium() -> str:
    """The path of the machine's Chromium. Without one, the page goes untested: not in CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("There is no Chromium to test the page with.")
    if found is None:
        pytest.skip("There is no Chromium here (`make test` installs it on Debian as root).")
    return found


@pytest.fixture
async def browser(chromium, tmp_path):
    """A context of a new Chromium with a profile of its own."""
    async with async_playwright() as play:
        context = await play.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=chromium,
            args=list(QUIET),
            viewport={"width": 1180, "height": 800},
        )
        context.set_default_timeout(20_000)
        yield context
        await context.close()


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Where screenshots go; GAMESHARD_PICTURES keeps them."""
    folder = Path(os.environ.get("GAMESHARD_PICTURES") or tmp_path / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
