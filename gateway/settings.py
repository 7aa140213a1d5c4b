"""What an operator may set about a gateway; read once, passed down, never changed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from runtime.config import ClusterConfig

_Positive = Annotated[float, Meta(gt=0)]
_NotNegative = Annotated[float, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=1)]
_Some = Annotated[int, Meta(ge=0)]
_Port = Annotated[int, Meta(ge=0, le=65_535)]


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """How a gateway treats its clients. Times are in seconds, sizes in bytes.

    Every field can be set in the environment as GAMESHARD_GATEWAY_<FIELD>.
    """

    guests: bool = True
    """Whether anybody may take a token at POST /tokens."""
    guest_days: _Count = 30
    issuer: str = ""
    """Whose tokens count besides: the `iss` of the outside issuer's JWTs."""
    issuer_jwks: str = ""
    """The URL of the outside issuer's keys; empty: there's no such issuer."""
    audience: str = "gameshard"
    """The `aud` that the issuer's tokens must name."""
    algorithms: str = "RS256,ES256,EdDSA"
    """The signatures taken of the issuer, separated by commas."""
    default_kind: str = "chess"
    """The kind of game that POST /games makes if the body names none."""

    body_bytes: _Count = 64 * 1024
    answer_timeout: _Positive = 10.0
    """A command or question without an answer for so long is answered 503."""
    poll_seconds: _NotNegative = 60.0
    """The longest `wait` of a long poll."""
    polls: _Some = 10_000
    """So many long polls may wait at once; more are answered at once."""
    caller_polls: _Count = 500
    """So many of one user, or of one address without a token."""

    command_rate: _Positive = 200.0
    """Commands a second that one user may send over HTTP."""
    command_burst: _Count = 400
    read_rate: _Positive = 2_000.0
    """Questions a second of one user (or of one address, without a token)."""
    read_burst: _Count = 4_000
    create_rate: _Positive = 50.0
    create_burst: _Count = 100
    token_rate: _Positive = 200.0
    """Tokens a second that one address may take."""
    token_burst: _Count = 4_000
    buckets: _Count = 100_000
    """So many users' and addresses' limits are remembered, each."""

    frame_bytes: _Count = 16 * 1024
    frame_rate: _Positive = 20.0
    """Tokens a second of one socket. Reading a frame takes one; an accepted command gives most of
    it back, so that a program may play a hundred moves a second; a refused one takes four more."""
    frame_burst: _Count = 30
    """So many may come at once. A socket without tokens is read later, from the spare ones."""
    spare_rate: _Positive = 2_000.0
    """Frames a second that are read at once though their sockets have no tokens, as long as nobody
    waits. Who waits is visited in turn, without regard to this: 500 visits a second of 4 frames,
    or a quarter of the time."""
    handshake_rate: _Positive = 500.0
    """WebSocket handshakes a second that are done at once; more wait for their turn."""
    connect_rate: _Positive = 2.0
    """WebSocket handshakes a second of one user."""
    connect_burst: _Count = 200
    address_connect_rate: _Positive = 200.0
    """WebSocket handshakes a second of one address, of those without a token."""
    address_connect_burst: _Count = 4_000
    penalty: _Positive = 10.0
    """Who floods is closed and may not connect again for so long; each time it's doubled."""
    longest_penalty: _Positive = 600.0
    pending_commands: _Count = 64
    """A socket with so many unanswered commands isn't read until one is answered."""
    subscriptions: _Count = 256
    """So many games may one socket of /ws follow."""
    write_buffer: _Count = 256 * 1024
    """A socket that has so much unread is dropped."""
    heartbeat: _Positive = 15.0
    """Sockets are pinged so often; one that hasn't answered by the next time is closed."""
    fanout: _Count = 500
    """The most sockets written to before others get their turn."""
    gather: _Positive = 1.0
    """Changes of who watches a game gather for so long after the last was told."""

    connections: _Count = 60_000
    stop_seconds: _Some = 5
    """A planned stop waits so long for requests under way."""
    reconnect_ms: _Some = 2_000
    """Clients are asked to come back spread over this many milliseconds after a planned stop."""
    trusted_proxies: str = ""
    """Addresses whose X-Forwarded-For is believed, separated by commas."""
    cors_origins: str = ""
    """Origins whose pages may call us, separated by commas; * is all of them."""
    affinity_cookie: str = ""
    """The name of a cookie that tells load balancers which gateway answered."""


class GatewayConfig(Struct, frozen=True, kw_only=True):
    """What one gateway process is told: its cluster, and where it listens."""

    cluster: ClusterConfig
    host: str = "127.0.0.1"
    port: _Port = 8000
    settings: GatewaySettings = GatewaySettings()
