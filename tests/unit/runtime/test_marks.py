"""The memory of idempotency keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.marks import ENTRY, PER_SEAT, KeyReused, find, mark, remember

commands = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.binary(max_size=2)
    )
)


@given(commands)
def test_the_last_sixteen_of_each_seat_are_known(script):
    """Against a plain model: a key is found while it's among its seat's last 16, with its own seq."""
    memory, model, seq = b"", {0: [], 1: []}, 0
    for seat, key, body in script:
        this = mark(seat, f"user{seat}", key, body)
        known = {k: (b, s) for k, b, s in model[seat]}
        if key in known:
            stored, at = known[key]
            if stored == body:
                assert find(memory, this) == at
            else:
                with pytest.raises(KeyReused):
                    find(memory, this)
            continue
        assert find(memory, this) is None
        seq += 1
        memory = remember(memory, this, seq)
        model[seat] = [*model[seat], (key, body, seq)][-PER_SEAT:]
    assert len(memory) == ENTRY * sum(map(len, model.values()))


def test_users_do_not_share_keys():
    """The same key of another user is another key."""
    memory = remember(b"", mark(0, "ann", "k", b"x"), 5)
    assert find(memory, mark(0, "bob", "k", b"y")) is None
