"""How much of a batch may be set aside."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_dataml.core.contract_extension import Quarantine
from airflow_dataml.core.quarantine import Quarantined, SetAside, refusal, severity

LIMITS = Quarantine(max_fraction=0.1, cap=50)


@pytest.mark.parametrize(
    ("bad", "tested", "replay", "words"),
    [
        (10, 100, False, None),
        (11, 100, False, "11 of 100 rows (11.00%)"),
        (50, 10_000, False, None),
        (51, 10_000, False, "lets 50 be set aside (quarantine.cap)"),
        (0, 100, False, "published before"),
        (100, 100, False, "all 100 rows"),
        (99, 100, True, None),
        (100, 100, True, "all 100 rows"),
    ],
    ids=["at the fraction", "above it", "at the cap", "above it too", "none", "all", "replay", "all of a replay"],
)  # fmt: skip
def test_limits(bad: int, tested: int, replay: bool, words: str | None) -> None:
    why = refusal(LIMITS, bad, tested, replay=replay)
    assert (why is None) if words is None else (why is not None and words in why)


@pytest.mark.parametrize(
    ("bad", "tested", "expected"),
    [(5, 100, "low"), (6, 100, "medium"), (25, 10_000, "low"), (26, 10_000, "medium")],
    ids=str,
)
def test_severity_follows_from_what_is_used_of_the_limits(bad: int, tested: int, expected: str) -> None:
    assert severity(LIMITS, bad, tested) == expected


def test_what_was_refused_says_only_why() -> None:
    assert SetAside(refused="all 3 rows are at fault").to_dict() == {"refused": "all 3 rows are at fault"}
    assert SetAside(rows=1, tested=9, mask=("name",)).to_dict()["mask"] == ["name"]


@pytest.mark.parametrize(
    ("said", "whereabouts"),
    [
        ({"state": "open"}, "is open"),
        ({"state": "replayed", "version": "rides@3"}, "was replayed as rides@3"),
        ({"state": "discarded", "note": "a test"}, "was discarded: a test"),
    ],
    ids=["open", "replayed", "discarded"],
)
def test_what_became_of_the_rows(said: dict[str, str], whereabouts: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    facts = {
        "quarantine_id": 1,
        "asset": "rides",
        "part_id": 7,
        "rest_id": 8,
        "fact": "f",
        "relation": "d.q",
        "rows": 1,
        "tested": 5,
    }
    one = Quarantined(**facts, reasons={"c": 1}, created_at=moment, **said)  # type: ignore[arg-type]
    assert one.whereabouts == whereabouts
    assert one.sentence == "1 row of rides part 7 was set aside"
    assert one.to_dict()["created_at"] == "2026-01-01T00:00:00+00:00"
