"""How long a process that starts anew waits for a good moment; its time is played here."""

from runtime.patience import await_calm


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def test_who_starts_anew_goes_on_when_all_is_calm():
    """And not before."""
    time = Time()
    await_calm(lambda: time.now >= 3.0, time.clock, time.pause)
    assert 3.0 <= time.now < 3.5


def test_nobody_waits_for_ever():
    """It may be that nothing gets calm without us."""
    time = Time()
    await_calm(lambda: False, time.clock, time.pause)
    assert 10.0 <= time.now < 11.0


def test_who_can_ask_nobody_goes_on_at_once():
    """The coordinator may be away as well."""
    time, asked = Time(), []

    def calm() -> bool:
        asked.append(time.now)
        if len(asked) > 1:
            raise TimeoutError
        return False

    await_calm(calm, time.clock, time.pause)
    assert len(asked) == 2
    assert time.now < 1.0
