"""The page at / in a real Chromium: two people play, a third watches."""

from __future__ import annotations

import re

import pytest
from person import Person
from playwright.async_api import expect


@pytest.fixture
async def table(running_system, browser):
    """Ann with White and Bob with Black at a new game, with its link."""
    ann = await Person.open(browser, running_system)
    link = await ann.create("Ann")
    await expect(ann.page.locator("#top")).to_contain_text("Open seat")
    await expect(ann.page.locator("#top time")).to_have_text("5:00")
    bob = await Person.open(browser, link)
    await bob.join("Bob")
    await expect(ann.page.locator("#top b")).to_have_text("Bob")
    yield ann, bob, link
    assert ann.complaints == []
    assert bob.complaints == []


async def play(first: Person, second: Person, *moves: str) -> None:
    """Play moves in turn."""
    for number, move in enumerate(moves):
        await (second if number % 2 else first).moves(move)


async def test_two_people_play_to_mate_and_a_third_watches(browser, table, pictures):
    """All three see the same board, moves and result, each from the side that is theirs."""
    ann, bob, link = table
    await ann.page.screenshot(path=pictures / "start.png")
    eve = await Person.open(browser, link)
    await play(ann, bob, "e2e4", "e7e5", "d1h5", "b8c6", "f1c4", "g8f6")
    await eve.sees("h5 white queen", "f6 black knight", "e2 empty")
    await bob.page.screenshot(path=pictures / "middle-black.png")
    await ann.moves("h5f7")
    for person in (ann, bob, eve):
        await person.is_told("White wins · Checkmate")
        await person.sees("f7 white queen", "e8 black king", "h5 empty")
        await person.reads("e4", "e5", "Qh5", "Nc6", "Bc4", "Nf6", "Qxf7#")
    await expect(eve.page.locator("#bottom b")).to_have_text("Ann")
    await expect(bob.page.locator("#top b")).to_have_text("Ann")
    await expect(eve.page.get_by_role("button", name="Rematch")).to_be_hidden()
    await expect(ann.page.locator("#watchers")).to_have_text("1 watching")
    await ann.page.screenshot(path=pictures / "mate.png")
    await eve.page.screenshot(path=pictures / "watcher.png")
    assert eve.complaints == []


async def test_a_tab_that_is_loaded_anew_still_plays(table):
    """The seat is the tab's: a reload shows the same board and the next move is accepted."""
    ann, bob, _ = table
    await play(ann, bob, "d2d4", "d7d5")
    await ann.page.reload()
    await ann.reads("d4", "d5")
    await ann.moves("c1f4")
    await bob.sees("f4 white bishop", "c1 empty")


async def test_every_special_move_is_shown(table, pictures):
    """Castling, en passant and a promotion change all the squares that they change."""
    ann, bob, _ = table
    await play(ann, bob, "e2e4", "g8f6", "e4e5", "d7d5", "e5d6", "g7g6", "g1f3", "f8g7", "f1e2")
    await bob.sees("d6 white pawn", "d5 empty", "e5 empty")
    await play(bob, ann, "e8g8", "e1g1", "b8a6", "d6c7", "a6b8")
    await bob.sees("g8 black king", "f8 black rook", "h8 empty", "g1 white king", "f1 white rook")
    await ann.moves("c7b8")
    await ann.page.screenshot(path=pictures / "promotion.png")
    await ann.press("knight")
    await bob.sees("b8 white knight", "c7 empty")
    await bob.reads(
        *(
            [
                "e4",
                "Nf6",
                "e5",
                "d5",
                "exd6",
                "g6",
                "Nf3",
                "Bg7",
                "Be2",
                "O-O",
                "O-O",
                "Na6",
                "dxc7",
                "Nb8",
                "cxb8=N",
            ]
        ),
    )


async def test_an_illegal_move_is_refused_in_words(table):
    """The server's refusal is told, the board stays as it was, and the game goes on."""
    ann, bob, _ = table
    await ann.moves("e2e5")
    await expect(ann.page.locator("#table .note")).not_to_be_empty()
    await ann.sees("e2 white pawn", "e5 empty")
    await ann.moves("e2e4")
    await bob.sees("e4 white pawn")
    await expect(ann.page.locator("#table .note")).to_be_empty()


async def test_offers_are_made_and_answered(table, pictures):
    """A takeback goes one move back, a draw ends the game, a rematch leads both to a new one."""
    ann, bob, _ = table
    await play(ann, bob, "e2e4", "e7e5", "g1f3")
    await ann.press("Takeback")
    await expect(bob.page.locator("#offer")).to_contain_text("take back a move")
    await bob.page.screenshot(path=pictures / "offer.png")
    await bob.press("Accept")
    await ann.reads("e4", "e5")
    await ann.sees("g1 white knight", "f3 empty")
    await ann.press("Draw")
    await bob.press("Decline")
    await expect(ann.page.locator("#offer")).to_be_hidden()
    await bob.press("Draw")
    await ann.press("Accept")
    await bob.is_told("Draw · Agreement")
    await bob.press("Rematch")
    await ann.press("Accept")
    for person, name in ((ann, "Ann"), (bob, "Bob")):
        await expect(person.page.locator("#banner")).to_be_hidden()
        await expect(person.page.locator("#bottom b")).to_have_text(f"{name} (you)")
    await bob.moves("d2d4")
    await ann.sees("d4 white pawn")


async def test_a_rematch_is_found_by_all(browser, table, pictures):
    """Who watched is shown the way to the next game, as is a player who looks back; none offers it again."""
    ann, bob, link = table
    eve = await Person.open(browser, link)
    await eve.is_live()
    await play(ann, bob, "e2e4", "e7e5")
    await ann.press("Resign")
    await ann.press("Really resign?")
    await eve.is_told("Black wins · Resignation")
    await expect(eve.page.locator("#next")).to_be_hidden()
    await ann.press("Rematch")
    await bob.press("Accept")
    await expect(bob.page.locator("#bottom b")).to_have_text("Bob (you)")
    await eve.page.screenshot(path=pictures / "rematch.png")
    await eve.page.get_by_role("link", name="Watch the rematch").click()
    await expect(eve.page.locator("#bottom b")).to_have_text("Bob")
    await bob.moves("d2d4")
    await eve.sees("d4 white pawn")
    await bob.page.goto(link)
    await bob.is_told("Black wins · Resignation")
    await expect(bob.page.get_by_role("button", name="Rematch")).to_be_hidden()
    await bob.page.get_by_role("link", name="Go to the rematch").click()
    await bob.sees("d4 white pawn")
    assert eve.complaints == []


async def test_resigning_takes_two_clicks(table):
    """The first click asks; the second ends the game."""
    ann, bob, _ = table
    await play(ann, bob, "e2e4", "e7e5")
    await bob.press("Resign")
    await expect(bob.page.locator("#banner")).to_be_hidden()
    await bob.press("Really resign?")
    await ann.is_told("White wins · Resignation")


async def test_a_broken_connection_heals_and_loses_nothing(browser, table):
    """A move made meanwhile is there as soon as the page is connected again."""
    ann, bob, _ = table
    await play(ann, bob, "e2e4", "e7e5")
    await bob.page.evaluate("window.severed = true")
    session = await browser.new_cdp_session(bob.page)
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", offline | {"offline": True})
    await bob.drop_connection()  # Chromium keeps a socket that was open when it goes offline
    await expect(bob.page.locator("#link")).to_have_text(re.compile("Connection lost"))
    await ann.moves("g1f3")
    await ann.sees("f3 white knight")
    await session.send("Network.emulateNetworkConditions", offline | {"offline": False})
    await bob.sees("f3 white knight")
    await bob.is_live()
    await bob.moves("b8c6")
    await ann.sees("c6 black knight")
    assert await bob.page.evaluate("window.severed"), "the page was loaded anew"
    bob.complaints = [text for text in bob.complaints if "ERR_INTERNET" not in text]


async def test_a_clock_runs_down(table):
    """Once both have moved, the mover's clock falls while the other's stands."""
    ann, bob, _ = table
    await play(ann, bob, "e2e4", "e7e5")
    running, standing = ann.page.locator("#bottom time"), ann.page.locator("#top time")
    before = await standing.inner_text()
    await expect(running).to_have_text(re.compile(r"^(4:5|5:0)\d$"))
    first = await running.inner_text()
    await expect(running).not_to_have_text(first)
    assert await standing.inner_text() == before


async def test_a_game_that_is_not_there_is_said_so(running_system, browser):
    """A wrong link leads to a plain sentence."""
    person = await Person.open(browser, f"{running_system}/?game=nothing-here")
    await expect(person.page.locator("#link")).to_have_text("There is no such game.")


async def test_a_small_screen_shows_all_of_it(browser, table, pictures):
    """On a telephone the board fills the width and nothing sticks out."""
    ann, _, _ = table
    await ann.page.set_viewport_size({"width": 390, "height": 844})
    await expect(ann.page.get_by_role("grid")).to_be_in_viewport()
    assert await ann.page.evaluate("document.documentElement.scrollWidth") <= 390
    await ann.page.screenshot(path=pictures / "phone.png", full_page=True)
