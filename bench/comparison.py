"""All that clients heard of games, compared with what the server has of them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.ledger import Evidence
from bench.record import Record, judge_all
from bench.sightings import Findings, Heard, examine


def compare(
    url: str,
    found: Evidence,
    games: Iterable[str],
    on_record: Callable[[Record], None] = lambda _: None,
) -> Findings:
    """Read each of `games` back and return all that is wrong with any; `on_record` sees each."""

    def verdict(record: Record) -> Findings:
        game = record.game
        if record.error:
            return Findings(lost=[record.error])
        on_record(record)
        heard = Heard(found.acks[game], found.accepted[game], found.seen[game], found.later[game])
        return examine(game, heard, record.facts, record.moves)

    findings = Findings()
    for each in judge_all(url, games, verdict):
        findings.add(each)
    return findings
