"""The small parts: limits, ids, names, memories, tokens, the heartbeat, the catalog."""

import asyncio
import base64
import time
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway import resume as resume_module
from gateway.catalog import Catalog
from gateway.heartbeat import Heartbeat
from gateway.identity import Identity, Unknown
from gateway.ids import LENGTH, keyed_id, random_ids, valid_id
from gateway.limits import Bucket, Limit
from gateway.metrics import Histogram
from gateway.names import clean_name, people
from gateway.problems import statuses
from gateway.recent import Recent
from gateway.resume import ResumeTokens
from gateway.settings import GatewaySettings
from runtime.behaviours import load

DEEP = base64.urlsafe_b64encode(b"[" * 5_000).decode() + ".e30.e30"


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_limit_lets_through_what_a_leaky_bucket_does(pauses):
    """Against a plain count of tokens: the same requests pass, and the told wait is exact."""
    limit, rate, burst = Limit("things", 2.0, 5, 10), 2.0, 5
    tokens, now, before = float(burst), 100.0, 100.0
    for pause in pauses:
        now += pause
        tokens, before = min(burst, tokens + (now - before) * rate), now
        if abs(tokens - 1) < 1e-6:
            continue  # on the edge rounding decides
        wait = limit.take("ann", now)
        assert (wait == 0) == (tokens >= 1)
        if wait:
            assert wait == pytest.approx((1 - tokens) / rate, abs=1e-6)
        else:
            tokens -= 1


def test_a_limit_is_each_ones_own_and_its_memory_bounded():
    """One user's rush costs another nothing; the least recent is forgotten first."""
    limit = Limit("things", 1.0, 1, 2)
    assert [limit.take(who, 0.0) for who in ("ann", "ann", "bob")] == [0.0, 1.0, 0.0]
    limit.take("eve", 0.0)
    assert limit.take("bob", 0.0) > 0
    assert limit.take("ann", 0.0) == 0.0  # forgotten when eve came


def test_a_bucket_can_be_charged_beyond_its_bottom():
    """What came at once is paid for by waiting."""
    bucket = Bucket(10.0, 5)
    bucket.charge(0.0, 15)
    assert bucket.wait(0.0) == pytest.approx(1.1)
    assert bucket.wait(1.2) == 0.0


def test_ids_are_valid_and_differ():
    """Random ids never repeat, are of one length and alphabet, and survive the end of a block."""
    draw = random_ids()
    drawn = [draw() for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert all(len(i) == LENGTH and valid_id(i) and i == i.lower() for i in drawn)


@given(st.text(), st.text(), st.text(), st.text())
def test_a_keyed_id_is_a_function_of_user_and_key(user, key, other, another):
    """The same pair gives the same id, another pair another."""
    made = keyed_id(user, key)
    assert len(made) == LENGTH
    assert valid_id(made)
    assert (keyed_id(other, another) == made) == (f"{other}\0{another}" == f"{user}\0{key}")


@given(st.text(max_size=60))
def test_names_are_visible_and_on_one_line(text):
    """What passes has 1 to 32 printable characters, is its own cleaned form, or is refused."""
    try:
        name = clean_name(text)
    except ValueError:
        return
    assert 1 <= len(name) <= 32
    assert name.isprintable()
    assert clean_name(name) == name


def test_people_are_found_wherever_they_stand():
    """Only an object that holds nothing but an id is a player."""
    ann, bob, eve = {"id": "ann"}, {"id": "bob"}, {"id": "eve"}
    view = {"id": "g", "white": ann, "table": {"seats": [bob, eve]}, "moves": ["e2e4"], "no": None}
    assert list(people(view)) == [ann, bob, eve]


def test_a_memory_forgets_by_age_and_by_use():
    """An entry is gone after its time, or when it's the least recent of too many."""
    memory = Recent(2)
    memory.put("a", 1, 10.0)
    memory.put("b", 2, 20.0)
    assert memory.get("a", 5.0) == 1
    memory.put("c", 3, 20.0)
    assert (memory.get("b", 5.0), memory.get("a", 5.0), memory.get("a", 10.0)) == (None, 1, None)
    assert len(memory) == 1


async def test_a_guests_token_tells_who_it_is():
    """Another gateway of the cluster reads it; one with another secret, or without guests, doesn't."""
    here, there = (Identity(GatewaySettings(), b"secret") for _ in range(2))
    token, user = here.issue("Ann")
    assert here.known(token) == user
    assert there.known(token) is None
    assert await there.identify(token) == user
    for stranger in (
        Identity(GatewaySettings(), b"another"),
        Identity(GatewaySettings(guests=False), b"secret"),
    ):
        with pytest.raises(Unknown):
            await stranger.identify(token)


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 9000, "\u2603", "e30.e30.", DEEP])
async def test_nonsense_is_no_token(token):
    """Whatever isn't a token is told so, and raises nothing else."""
    with pytest.raises(Unknown):
        await Identity(GatewaySettings(), b"secret").identify(token)


def test_weak_algorithms_are_refused_for_an_issuer():
    """A public key must never be taken as the secret of a symmetric signature."""
    for algorithms in ("HS256", "RS256,none"):
        with pytest.raises(ValueError, match="key pair"):
            Identity(GatewaySettings(algorithms=algorithms), b"secret")


def test_a_resume_token_is_good_for_its_game_and_time(monkeypatch):
    """It names its user for one game for an hour, and a chain of them ends after a day."""
    clock = SimpleNamespace(time=lambda: 1_000_000.0)
    monkeypatch.setattr(resume_module, "time", clock)
    tokens = ResumeTokens(b"secret")
    token = tokens.issue("ann", "game")
    user, until = tokens.read(token, "game")
    assert (user, until) == ("ann", 1_000_000 + 86_400)
    assert tokens.read(token, "other") is None
    assert ResumeTokens(b"another").read(token, "game") is None
    assert all(
        tokens.read(bad, "game") is None for bad in ("", "x", token[:-4], "é" * 9, "A" * 999)
    )
    clock.time = lambda: 1_003_601.0
    assert tokens.read(token, "game") is None
    renewed = tokens.issue("ann", "game", until)
    assert tokens.read(renewed, "game") == ("ann", until)
    clock.time = lambda: float(until + 1)
    assert tokens.read(tokens.issue("ann", "game", until), "game") is None


def test_a_resume_token_is_good_whatever_its_user_is_called():
    """The longest id that a token may bring gives no resume token that's refused."""
    tokens, user = ResumeTokens(b"secret"), "\U0001f9d9" * 128
    found = tokens.read(tokens.issue(user, "g" * 64), "g" * 64)
    assert found is not None
    assert found[0] == user


async def test_the_heartbeat_visits_everybody_once_a_round():
    """In one interval each member is visited once, those that left not at all."""

    class Member:
        slot = 0
        beats = 0

        def beat(self, now):
            self.beats += 1

    timers = []
    loop = SimpleNamespace(time=time.monotonic, call_later=lambda s, f: timers.append(f) or f)
    heart = Heartbeat(loop, 64.0)
    stay, go = Member(), Member()
    heart.join(stay)
    heart.join(go)
    heart.leave(go)
    for _ in range(128):
        timers.pop()()
    assert (stay.beats, go.beats) == (2, 0)
    heart.leave(stay)
    timers.pop()()
    assert not timers


def test_a_histogram_counts_cumulatively():
    """Bounds are inclusive, and the last bucket holds everything."""
    histogram = Histogram()
    for seconds in (0.001, 0.002, 99.0):
        histogram.note(seconds)
    buckets = dict(histogram.buckets())
    assert (buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 3)


def test_games_that_contradict_each_other_are_refused_at_the_start():
    """A built-in name, two meanings of one path, two statuses of one code: the gateway won't begin."""
    behaviours = load()

    def like_nim(**changes):
        fields = {k: getattr(behaviours["nim"], k) for k in dir(behaviours["nim"]) if k[0] != "_"}
        return behaviours | {"other": SimpleNamespace(**fields | {"kind": "other"} | changes)}

    nim = behaviours["nim"]
    assert Catalog(like_nim(), "chess").default_kind == "chess"
    assert Catalog(like_nim(), "none of these").default_kind == "chess"
    for changes in (
        {"commands": nim.commands | {"ping": nim.commands["take"]}},
        {"commands": nim.commands | {"events": nim.commands["take"]}},
        {"paths": {"take": "moves"}},
        {"queries": nim.queries | {"take": nim.queries["state"]}},
        {"rejections": {"not_your_turn": 418}},
        {"answers": {}},
    ):
        with pytest.raises(ValueError, match="other"):
            Catalog(like_nim(**changes), "chess")
    with pytest.raises(ValueError, match="no game"):
        Catalog({}, "chess")


def test_every_code_of_every_game_has_a_status():
    """All statuses are errors of the client or the server."""
    table = statuses(load().values())
    assert all(400 <= status < 600 for status in table.values())
    assert {"illegal_move", "no_such_game", "rate_limited", "key_reused"} <= table.keys()


async def test_an_outside_issuers_tokens_are_checked_in_every_way():
    """Right key, issuer, audience and time: the user; any of them wrong: nobody."""

    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k1"}
    served = b'{"keys":[%s]}' % __import__("json").dumps(jwk).encode()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(served)
        writer.write(head + served)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = GatewaySettings(
        guests=False, issuer="https://id.example", issuer_jwks=f"http://127.0.0.1:{port}/keys"
    )
    identity = Identity(settings, b"secret")
    claims = {
        "iss": "https://id.example",
        "aud": "gameshard",
        "sub": "u1",
        "name": "Ann",
        "exp": int(time.time()) + 60,
    }

    def signed(signer=key, kid="k1", **changes):
        return jwt.encode(claims | changes, signer, "ES256", headers={"kid": kid})

    user = await identity.identify(signed())
    assert (user.id, user.name) == ("u1", "Ann")
    for bad in (
        signed(other),
        signed(kid="k2"),
        signed(iss="https://evil.example"),
        signed(aud="another"),
        signed(exp=int(time.time()) - 1),
        jwt.encode(claims, key.public_key().public_numbers().x.to_bytes(32, "big"), "HS256"),
    ):
        with pytest.raises(Unknown):
            await identity.identify(bad)
    server.close()
    await server.wait_closed()
