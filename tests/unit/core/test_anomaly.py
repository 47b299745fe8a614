"""Ranges of expected values: how often they cry wolf, and what they see."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.anomaly import Expected, Point, due_by, expect
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Callable

np, stats = load("numpy", extra="monitoring"), load("scipy.stats", extra="monitoring")
START = datetime(2026, 1, 5, 6, tzinfo=UTC)
WEEK = np.array([0, 5, 3, 1, -2, -20, -25.0])
Series = tuple[Any, Any, Any]


def points(values: Any) -> list[Point]:
    return [Point(float(value), START + timedelta(days=day)) for day, value in enumerate(values)]


def drawn(law: Any) -> Callable[[Any, int], Series]:
    return lambda rng, n: (law.rvs(size=n, random_state=rng), law, "none")


def trend(rng: Any, n: int) -> Series:
    return 0.5 * np.arange(n) + rng.normal(size=n), stats.norm(0.5 * n), "none"


def walk(rng: Any, n: int) -> Series:
    values = np.cumsum(rng.normal(size=n))
    return values, stats.norm(values[-1]), "none"


def inert(rng: Any, n: int) -> Series:
    values = [0.0]
    for step in rng.normal(size=n + 50):
        values.append(0.6 * values[-1] + step)
    return np.array(values[-n:]), stats.norm(0.6 * values[-1]), "none"


def weekly(rng: Any, n: int) -> Series:
    return 100 + WEEK[np.arange(n) % 7] + 2 * rng.normal(size=n), stats.norm(100 + WEEK[n % 7], 2), "weekly"


def growing(rng: Any, n: int) -> Series:
    level = 8 + np.arange(n + 1) / 150 + WEEK[np.arange(n + 1) % 7] / 100
    return np.exp(level[:-1] + 0.1 * rng.normal(size=n)), stats.lognorm(0.1, scale=math.exp(level[-1])), 7


PROCESSES = {
    "normal": drawn(stats.norm(50, 3)),
    "heavy": drawn(stats.t(3, loc=10)),
    "laplace": drawn(stats.laplace()),
    "lognormal": drawn(stats.lognorm(0.7, scale=1000)),
    "waiting": drawn(stats.expon()),
    "counts": drawn(stats.poisson(200)),
    "few": drawn(stats.poisson(3)),
    "mostly zero": drawn(stats.poisson(0.2)),
    "trend": trend,
    "walk": walk,
    "inert": inert,
    "weekly": weekly,
    "growing": growing,
}


def outside(expected: Expected, law: Any) -> float:
    """How likely a next value of the process lies outside the range; exact, so that few series are enough."""
    assert expected.low is not None
    assert expected.high is not None
    low = math.ceil(expected.low) - 1 if isinstance(law.dist, stats.rv_discrete) else expected.low
    return float(law.cdf(low) + law.sf(expected.high))


def realised(process: str, *, n: int, rate: float, series: int = 40) -> tuple[float, set[str]]:
    """Share of false alarms over the rate that was asked for, and the methods used."""
    rng = np.random.default_rng(n)
    found, methods = [], set()
    for _ in range(series):
        values, law, season = PROCESSES[process](rng, n)
        expected = expect(points(values), at=START + timedelta(days=n), false_alarm_rate=rate, season=season)
        if expected.method != "constant":
            found.append(outside(expected, law))
        methods.add(expected.method)
    return float(np.mean(found)) / rate, methods


@pytest.mark.parametrize("process", PROCESSES)
def test_with_enough_errors_the_rate_holds_whatever_the_process(process: str) -> None:
    ratio, methods = realised(process, n=95, rate=0.05)
    assert methods == {"conformal"}
    # Mostly zero leaves no range between 2 % and 18 %: its rate is the largest that it can keep to.
    assert (0.3 if process != "mostly zero" else 0.2) <= ratio <= 1.5


@pytest.mark.parametrize(
    ("process", "least", "most"),
    [
        ("normal", 0.2, 1.0), ("heavy", 0.5, 1.5), ("laplace", 0.3, 1.5), ("lognormal", 0.3, 1.5), ("waiting", 0.3, 1.5),
        ("counts", 0.2, 1.0), ("few", 0.1, 1.5), ("mostly zero", 0.2, 1.5), ("trend", 0.1, 1.5), ("walk", 0.2, 1.5),
        ("inert", 0.1, 1.5), ("weekly", 0.3, 1.5), ("growing", 0.1, 1.5),
    ],
)  # fmt: skip
def test_with_fewer_the_rate_is_near_and_rather_lower(process: str, least: float, most: float) -> None:
    ratio, methods = realised(process, n=90, rate=0.01)
    assert methods == {"student-t"}
    assert least <= ratio <= most


@pytest.mark.parametrize("process", ["heavy", "counts", "trend"])
def test_with_a_month_of_values_it_is_at_most_twice_as_high(process: str) -> None:
    assert realised(process, n=30, rate=0.01, series=100)[0] <= 2.0


@pytest.mark.parametrize(
    ("values", "usual", "unusual", "season"),
    [
        pytest.param([100 + n % 5 for n in range(30)], 102, 130, "none", id="jump"),
        pytest.param([100 + n % 5 for n in range(30)], 102, 60, "none", id="drop"),
        pytest.param([1000 * 1.02**n for n in range(60)], 3281, 2300, "none", id="below a growth"),
        pytest.param(
            [100 if n % 7 < 5 else 20 for n in range(75)], 20, 100, 7, id="a workday's rows on a weekend"
        ),
    ],
)
def test_what_is_unlike_the_past_is_seen(
    values: list[float], usual: float, unusual: float, season: Any
) -> None:
    noise = np.random.default_rng(1).normal(size=len(values))
    found = expect(points(np.array(values) + noise), season=season)
    assert [found.judge(value) for value in (usual, unusual)] == ["pass", "fail"]


class TestConstant:
    def test_a_change_is_seen_and_the_noise_of_floats_is_not(self) -> None:
        found = expect(points([0.1 + 0.2] * 14))
        assert found.method == "constant"
        assert [found.judge(value) for value in (0.3, 0.30001, 0.29)] == ["pass", "fail", "fail"]

    def test_nothing_missing_so_far_makes_one_missing_an_anomaly(self) -> None:
        found = expect(points([0] * 14))
        assert [found.judge(value) for value in (0, 1)] == ["pass", "fail"]

    def test_a_line_that_was_foreseen_exactly_goes_on(self) -> None:
        found = expect(points([3 * n for n in range(20)]))
        assert (found.method, found.judge(60), found.judge(61)) == ("constant", "pass", "fail")

    def test_a_value_seen_once_is_no_anomaly(self) -> None:
        found = expect(points([7] * 20 + [8] + [7] * 20))
        assert [found.judge(value) for value in (7, 8, 100)] == ["pass", "pass", "fail"]


class TestHistory:
    def test_too_short_says_nothing(self) -> None:
        found = expect(points([1, 2, 3]))
        assert (found.judge(99), found.detail) == ("unknown", "3 of at least 14 past values")
        assert (found.low, found.high, found.describe()) == (None, None, "as in the past")

    def test_too_few_weeks_say_nothing_about_days(self) -> None:
        found = expect(points(range(16)), at=START, season="weekly")
        assert (found.method, found.detail) == ("unknown", "16 past values hold too few seasons")

    def test_reported_anomalies_teach_nothing(self) -> None:
        past = points([100, 101, 99, 102, 98] * 4)
        wild = [Point(value, anomalous=True) for value in (500, 900, 2)]
        assert expect([*past, *wild]).to_dict() == expect(past).to_dict()

    def test_enough_of_them_in_a_row_are_the_new_level(self) -> None:
        past = points([100, 101, 99, 102, 98] * 4)
        new = [Point(500 + value, anomalous=True) for value in (0, 1, -1, 2, -2) * 3]
        assert expect([*past, *new]).judge(501) == "pass"
        assert expect([*past, *new, *points([500, 501])]).judge(100) == "fail"
        assert expect([*past, *new, *points([500]), Point(9, anomalous=True)]).n == 16

    def test_an_anomaly_does_not_shift_the_season(self) -> None:
        past = points([10, 20, 30, 40] * 8)
        past[9] = Point(999, past[9].at, anomalous=True)
        assert [expect(past, season=4).judge(value) for value in (10, 20)] == ["pass", "fail"]

    def test_auto_finds_the_week(self) -> None:
        values = weekly(np.random.default_rng(2), 70)[0]
        found = expect(points(values), at=START + timedelta(days=70), season="auto")
        assert (found.judge(100), found.judge(75)) == ("pass", "fail")
        assert "season weekly" in found.model

    def test_auto_finds_that_there_is_none(self) -> None:
        values = np.random.default_rng(3).normal(50, 3, size=70)
        assert "weekly" not in expect(points(values), at=START + timedelta(days=70), season="auto").model


class TestDirection:
    VALUES = (50, 52, 49, 51, 48, 50, 53, 47, 51, 50, 49, 52, 50, 51, 49, 50)

    @pytest.mark.parametrize(
        ("direction", "outcomes"), [("both", ["fail", "fail"]), ("low", ["fail", "pass"]), ("high", ["pass", "fail"])]
    )  # fmt: skip
    def test_one_side_may_be_enough(self, direction: Any, outcomes: list[str]) -> None:
        found = expect(points(self.VALUES), direction=direction)
        assert [found.judge(value) for value in (10, 90)] == outcomes

    def test_one_side_keeps_its_rate(self) -> None:
        rng, law = np.random.default_rng(4), stats.norm(50, 3)
        beyond = [
            law.sf(expect(points(law.rvs(size=60, random_state=rng)), direction="high").high)
            for _ in range(60)
        ]
        assert 0.2 <= float(np.mean(beyond)) / 0.01 <= 1.2

    def test_what_is_no_number_is_never_as_expected(self) -> None:
        found = expect(points(self.VALUES))
        assert [found.judge(value) for value in (math.nan, math.inf)] == ["fail", "fail"]

    def test_a_range_is_told_in_words(self) -> None:
        facts = {"center": 2.0, "n": 20, "method": "student-t", "false_alarm_rate": 0.01}
        ranges = [Expected(low, high, **facts) for low, high in ((1.0, 3.0), (None, 3.0), (1.0, None))]
        assert [found.describe() for found in ranges] == ["between 1 and 3", "<= 3", ">= 1"]


class TestDue:
    def times(self, count: int, *, workdays: bool = False, seed: int = 5) -> list[datetime]:
        late = np.random.default_rng(seed).lognormal(3, 0.5, size=2 * count)
        days = [START + timedelta(days=day, minutes=float(late[day])) for day in range(2 * count)]
        return [day for day in days if day.weekday() < 5 or not workdays][:count]

    def test_a_daily_feed_is_due_a_day_later(self) -> None:
        times = self.times(40)
        due, gap = due_by(times)
        assert due is not None
        assert timedelta(hours=23) < due - times[-1] < timedelta(hours=27)
        assert gap.method == "student-t"

    @pytest.mark.parametrize(("count", "days"), [(40, 3), (42, 1)], ids=["friday", "tuesday"])
    def test_a_feed_that_rests_on_weekends_is_due_on_the_next_workday(self, count: int, days: int) -> None:
        times = self.times(count, workdays=True)
        due, _ = due_by(times)
        assert due is not None
        assert abs((due - times[-1]) / timedelta(days=1) - days) < 0.2

    @pytest.mark.parametrize(
        ("times", "detail"),
        [([], "0 of at least 14 past values"), ([START], "the past spans 0 of at least 28 days that a weekly rhythm needs")],
        ids=["never", "once"],
    )  # fmt: skip
    def test_a_short_past_says_nothing(self, times: list[datetime], detail: str) -> None:
        due, gap = due_by(times)
        assert (due, gap.detail) == (None, detail)

    def test_without_a_week_to_know_it_learns_sooner(self) -> None:
        times = [START + timedelta(minutes=15 * n, seconds=n * 7 % 11) for n in range(20)]
        due, _ = due_by(times, season="none")
        assert due is not None
        assert due - times[-1] < timedelta(minutes=17)

    def test_it_cries_wolf_as_rarely_as_it_says(self) -> None:
        late = 0
        for seed in range(20):
            times = self.times(80, workdays=seed % 2 == 0, seed=seed)
            for end in range(60, 75, 3):
                due, _ = due_by(times[:end])
                assert due is not None
                late += times[end] > due
        assert late <= 4
