"""Draws, takebacks and rematches: offered, answered, agreed.

One grammar for all three: without `accept` the command offers, and if the opponent's same offer
stands it agrees; with `accept` it answers the opponent's standing offer, whose seq `offer` names
(if given). Offering again what one's own offer says is a repeat. One asks for each thing once a
ply, so that a game's log can't be flooded.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

from actors.behaviour import Context, Event, Rejected, Repeated
from actors.chess.clock import FREE_PLIES, REMATCH_MS, allotted, charged
from actors.chess.commands import ClockTerms, Draw, Rematch, Takeback
from actors.chess.events import (
    DrawDeclined,
    DrawOffered,
    GameEnded,
    RematchAgreed,
    RematchDeclined,
    RematchOffered,
    TakebackDeclined,
    TakebackOffered,
    TakenBack,
)
from actors.chess.state import (
    Color,
    Game,
    Offer,
    OfferType,
    Terms,
    ask_bit,
    color_name,
    mover,
    offer_of,
    plies,
    seat_of,
)

_ID_SIZE = 12
_LEAST_MS = 1_000
"""A takeback leaves so much on a clock that had it."""


def draw(game: Game, command: Draw, context: Context) -> Sequence[Event]:
    """Offer a draw, or answer an offer."""
    by, offer = _parties(game, "draw", command, context)
    _require_under_way(game)
    if _agrees(game, "draw", by, offer, command):
        return (GameEnded(winner=None, termination="agreement"),)
    return (DrawDeclined(by=by, offer=offer.seq) if offer else DrawOffered(by=by),)


def takeback(game: Game, command: Takeback, context: Context) -> Sequence[Event]:
    """Ask to take back one's own last move (and the opponent's reply), or answer."""
    by, offer = _parties(game, "takeback", command, context)
    _require_under_way(game)
    if _agrees(game, "takeback", by, offer, command) and offer:
        ply = _ply_before(game, offer.by)
        white, black = _clocks_after_takeback(game, ply, context.now)
        return (TakenBack(by=offer.by, ply=ply, white_ms=white, black_ms=black),)
    if offer:
        return (TakebackDeclined(by=by, offer=offer.seq),)
    if _ply_before(game, by) < 0:
        raise Rejected("nothing_to_take_back", "You haven't moved yet.")
    return (TakebackOffered(by=by),)


def rematch(game: Game, command: Rematch, context: Context) -> Sequence[Event]:
    """Offer another game with colours swapped, or answer."""
    by, offer = _parties(game, "rematch", command, context)
    white, black = game.white, game.black
    if game.status != "ended" or white is None or black is None:
        raise Rejected("rematch_closed", "There's nothing to play again yet.")
    if game.next is not None or context.now - game.clock_at > REMATCH_MS:
        raise Rejected("rematch_closed", "The time for a rematch is over.")
    if not _agrees(game, "rematch", by, offer, command):
        return (RematchDeclined(by=by, offer=offer.seq) if offer else RematchOffered(by=by),)
    terms = game.terms
    return (
        RematchAgreed(
            next=_new_id(context),
            white=black,
            black=white,
            variant=terms.variant,
            rated=terms.rated,
            # A Chess960 rematch is another draw of the lots.
            fen=None if terms.variant == "chess960" else terms.initial_fen,
            clock=clock_terms(terms),
        ),
    )


def clock_terms(terms: Terms) -> ClockTerms | None:
    """Return the clock as it's spelled on the wire."""
    if terms.days:
        return ClockTerms(days=terms.days)
    if not terms.clocked:
        return None
    return ClockTerms(initial=terms.initial, increment=terms.increment)


def _parties(
    game: Game, kind: OfferType, command: Draw | Takeback | Rematch, context: Context
) -> tuple[Color, Offer | None]:
    """Return who asks, and the opponent's offer if the command speaks to it."""
    color = seat_of(game, context.user)
    if color is None:
        raise Rejected("not_a_player", "Only the players may do that.")
    if command.accept is None and command.offer is not None:
        raise Rejected("invalid_request", "An answer to an offer needs accept: true or false.")
    offer = offer_of(game, kind)
    by = color_name(color)
    return by, offer if offer is not None and offer.by != by else None


def _agrees(
    game: Game,
    kind: OfferType,
    by: Color,
    offer: Offer | None,
    command: Draw | Takeback | Rematch,
) -> bool:
    """Return whether the two agree now; False is a refusal if there's an offer, else an offer.

    Raises:
        Rejected: "no_such_offer" or "asked_already".
        Repeated: If one's own offer stands.
    """
    if command.accept is not None:
        if offer is None or command.offer not in {None, offer.seq}:
            raise Rejected("no_such_offer", "No such offer of the opponent stands.")
        return command.accept
    if offer is not None:
        return True
    own = offer_of(game, kind)
    if own is not None:
        raise Repeated(own.seq)
    if game.asked & ask_bit(kind, by):
        raise Rejected("asked_already", "That was offered at this move already.")
    return False


def _require_under_way(game: Game) -> None:
    if game.status == "open":
        raise Rejected("not_started", "The other player hasn't joined yet.")
    if game.status == "ended":
        raise Rejected("game_over", "The game is over.")


def _ply_before(game: Game, by: Color) -> int:
    """Return the ply of the last move of `by`; negative if there's none."""
    last = plies(game) - 1
    return last if color_name(mover(game, last)) == by else last - 1


def _clocks_after_takeback(game: Game, ply: int, now: int) -> tuple[int | None, int | None]:
    """Return what each has left when the moves from `ply` on are taken back.

    Days begin anew. A Fischer clock has only run on, and an increment goes with its move.
    """
    terms = game.terms
    if not terms.clocked:
        return None, None
    if terms.days:
        return allotted(terms), allotted(terms)
    white, black = charged(game, now)
    for undone in range(max(ply, FREE_PLIES), plies(game)):
        if mover(game, undone):
            white = _without(white, terms.increment * 1000)
        else:
            black = _without(black, terms.increment * 1000)
    return white, black


def _without(left: int, increment: int) -> int:
    return max(left - increment, min(left, _LEAST_MS))


def _new_id(context: Context) -> str:
    """Return an id for the next game that no one can foresee and two games won't share."""
    seed = f"{context.game}:{context.seed}".encode()
    return urlsafe_b64encode(blake2b(seed, digest_size=_ID_SIZE).digest()).decode()
