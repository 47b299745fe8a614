from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from dev.lifecycle.landing import CORRUPTED, Landing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("landing")
    landing = Landing(found)
    landing.deliver_reference()
    for month in ("2013-01", CORRUPTED):
        landing.deliver_month(month)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_month_holds_its_own_flights_alone(folder: Path) -> None:
    months = {(row["year"], row["month"]) for row in rows(folder / "flights" / "2013-01.csv")}
    assert months == {("2013", "1")}


def test_missing_values_are_empty_fields(folder: Path) -> None:
    for path in folder.rglob("*.csv"):
        assert "NA" not in {value for row in rows(path) for value in row.values()}


def test_nothing_half_written_is_left(folder: Path) -> None:
    assert not list(folder.rglob("*.part"))


def test_the_broken_month_is_last_years_in_kilometres(folder: Path) -> None:
    good = rows(folder / "flights" / "2013-01.csv")
    broken = rows(folder / "flights" / f"{CORRUPTED}.csv")
    assert [r["flight"] for r in broken] == [r["flight"] for r in good]
    assert (good[0]["distance"], broken[0]["distance"]) == ("1400", "2253")
    assert (broken[0]["year"], broken[0]["time_hour"]) == ("2014", "2014-01-01T10:00:00Z")


def test_the_broken_month_lost_every_second_arrival_delay(folder: Path) -> None:
    broken = rows(folder / "flights" / f"{CORRUPTED}.csv")
    assert not any(row["arr_delay"] for row in broken[1::2])
    assert sum(bool(row["arr_delay"]) for row in broken[0::2]) > len(broken) * 0.45


def test_the_broken_months_weather_is_in_its_own_year(folder: Path) -> None:
    weather = rows(folder / "weather" / f"{CORRUPTED}.csv")
    assert {row["year"] for row in weather} == {"2014"}
