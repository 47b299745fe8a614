"""How often a quiet window is called drifted, and a moved one not, beside Evidently and NannyML; and what it costs.

The monitor's own functions judge rows of sources that stay what they are, and of ones that moved: per feature and
window, per family of features, and over sixty days. Evidently's preset and NannyML's univariate calculator judge rows
of the same sources by the defaults they are shipped with, in environments of their own that are made on the first run.
A seasonal source swings by a tenth of a standard deviation with the days of the week; its reference has all days.

    python -m dev.bench.drift [--quick]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from airflow_dataml.core.alarm_budget import AlarmBudget
from airflow_dataml.core.monitor_policy import MonitorPolicy
from dev.bench.drift_data import KINDS, LARGE, MOVED, SMALL, Case
from dev.bench.drift_ours import FAMILIES, FAMILY, FINE, Found, judge, over_time, speed
from dev.bench.drift_peers import PACKAGES, finish, interpreter, start

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUIET_DAYS, LATE_DAYS, DAY_ROWS = 60, 30, 1000
LEAST = 50


@dataclass(frozen=True)
class Size:
    """How much is drawn: days of each number of rows, by rule, and what else costs time."""

    days: Mapping[int, int]
    evidently: Mapping[int, int]
    nannyml: Mapping[int, int]
    worlds: int
    frame: int

    def wanted(self, peer: str) -> list[tuple[str, int, int]]:
        """What a peer is asked, as kind, rows and days."""
        days = {"evidently": self.evidently, "nannyml": self.nannyml}[peer]
        return [(kind, rows, days[rows]) for kind in KINDS for rows in days]


FULL = Size(
    days={50: 4, 500: 4, 5000: 4, 20_000: 2},
    evidently={50: 2, 500: 2, 5000: 1},
    nannyml={50: 60, 500: 60, 5000: 30},
    worlds=6,
    frame=1_000_000,
)
QUICK = Size(
    days={50: 1, 500: 1, 5000: 1}, evidently={500: 1}, nannyml={50: 20, 500: 20}, worlds=1, frame=100_000
)


def policies() -> dict[str, MonitorPolicy]:
    """Ours as shipped, and with nothing borne: there a quiet window stands right at the edge of the tolerance."""
    return {"ours": MonitorPolicy(), "ours, tolerance 0": MonitorPolicy(tolerance=0, min_rows=LEAST)}


def peers_found(days: list[dict[str, bool]]) -> Found:
    """Count a peer's flags as ours are."""
    found = Found()
    for flags in days:
        quiet = [flags[f"n{i}"] for i in range(FAMILY)]
        found.looks += len(quiet)
        found.flagged += sum(quiet)
        for size in FAMILIES:
            found.families[size] += [any(quiet[i : i + size]) for i in range(0, FAMILY - size + 1, size)]
        for shift, name in ((SMALL, "small"), (LARGE, "large")):
            found.power[shift].append(flags[name])
    return found


def false_alarms(size: Size, peers: Mapping[str, Path]) -> None:
    """Print false alarms and power, kind by kind."""
    asked = {name: start(name, python, "cases", wanted=size.wanted(name)) for name, python in peers.items()}
    found: dict[tuple[str, int], dict[str, Found]] = {}
    for kind in KINDS:
        for rows, days in size.days.items():
            found[kind, rows] = judge(Case(kind, rows), policies(), days=days)
    for name, process in asked.items():
        answer = finish(process)
        if isinstance(answer, str):
            print(f"{name}: {answer}")
            continue
        for (kind, rows, _), days in zip(size.wanted(name), answer, strict=True):
            found[kind, rows][name] = peers_found(days)
    _print_found(found)


def _print_found(found: Mapping[tuple[str, int], Mapping[str, Found]]) -> None:
    print()
    heads = ["feature", *(f"any of {n}" for n in FAMILIES), "days of 60", f"+{SMALL} sd", f"+{LARGE} sd"]
    print(f"{'shares of windows called drifted':44}{'quiet':>11}{'':44}{'one moved':>22}")
    print(f"{'source, rows of a window, rule':44}" + "".join(f"{head:>11}" for head in heads))
    pooled: dict[tuple[str, int], list[Found]] = {}
    for (kind, rows), rules in found.items():
        for name, one in rules.items():
            _line(
                f"{kind}, {rows:,}, {name}", [one], unknown=name == "ours" and rows < MonitorPolicy().min_rows
            )
            if kind != "seasonal":
                pooled.setdefault((name, rows), []).append(one)
    for (name, rows), all_kinds in sorted(pooled.items()):
        few = name == "ours" and rows < MonitorPolicy().min_rows
        _line(f"all but seasonal, {rows:,}, {name}", all_kinds, unknown=few)


def _line(title: str, found: list[Found], *, unknown: bool) -> None:
    if unknown:
        print(f"{title:44} unknown: fewer rows than min_rows")
        return
    families = [_share([hit for one in found for hit in one.families[size]]) for size in FAMILIES]
    shares = [
        sum(one.flagged for one in found) / sum(one.looks for one in found),
        *families,
        None if families[1] is None else 60 * families[1],
        *(_share([hit for one in found for hit in one.power[shift]]) for shift in (SMALL, LARGE)),
    ]
    print(f"{title:44}" + "".join(f"{'-':>11}" if share is None else f"{share:11.3f}" for share in shares))


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def sixty_days(size: Size) -> None:
    """Print what days of one model of thirty features give: quiet ones, then one feature moved."""
    budget = AlarmBudget()
    rules = {
        "window by window, as shipped": MonitorPolicy(),
        "window by window, tolerance 0": MonitorPolicy(tolerance=0),
        f"alarm budget {budget.windows}, tolerance 0": MonitorPolicy(tolerance=0, alarm_budget=budget),
        f"alarm budget {budget.windows}, tolerance .005": MonitorPolicy(tolerance=0.005, alarm_budget=budget),
    }
    found = over_time(rules, worlds=size.worlds, rows=DAY_ROWS, quiet=QUIET_DAYS, days=LATE_DAYS)
    print(
        f"\n{size.worlds} models of {FAMILY} features, {DAY_ROWS:,} rows a day: {QUIET_DAYS} quiet days,"
        f" then one feature moved by {SMALL} sd for {LATE_DAYS}"
    )
    print(f"{'':44}{'false alarm days':>18}{'found on day':>14}{'latest':>8}{'missed':>8}")
    for name, (quiet, late) in found.items():
        days = sorted(day for day in late if day is not None)
        when = f"{median(days):14.1f}{days[-1]:8}" if days else f"{'-':>14}{'-':>8}"
        print(f"{name:44}{sum(quiet) / len(quiet):18.2f}{when}{len(late) - len(days):8}")


def costs(size: Size, peers: Mapping[str, Path]) -> None:
    """Print what one large frame against another costs, and what was found."""
    ours = speed(size.frame)
    print(f"{size.frame:,} rows x 30 against as many; moved: {', '.join(MOVED)}")
    print(f"{'':44}{'CPU s':>10}{'+ MB':>8}  found")
    print(f"{'ours, from a frame':44}{ours['raw']:10.3f}{ours['megabytes']:8.0f}  {_named(ours['found'])}")
    print(f"{'ours, from stored profiles':44}{ours['sketches']:10.4f}{'':8}  {_named(ours['found'])}")
    print(f"(tolerance PSI {FINE:g}, that is {FINE**0.5:g} sd: less than any of the four)")
    for name, python in peers.items():
        answer = finish(start(name, python, "speed", rows=size.frame))
        if isinstance(answer, str):
            print(f"{name}: {answer}")
            continue
        flags = answer["flags"]
        always = sorted(column for column in flags[0] if all(chunk[column] for chunk in flags))
        said = _named(always)
        if len(flags) > 1:
            cells = sum(chunk[column] for chunk in flags for column in chunk if column not in MOVED)
            said += f" in all {len(flags)} chunks; {cells} alerts on columns that did not move"
        print(f"{name + ', default':44}{answer['cpu']:10.3f}{answer['megabytes']:8.0f}  {said}")


def _named(columns: list[str]) -> str:
    right = len(set(columns) & set(MOVED))
    return f"{right} of {len(MOVED)}, {len(columns) - right} others ({', '.join(columns) or 'none'})"


def environments() -> dict[str, Path]:
    """Interpreters of the peers; says which cannot be had."""
    found: dict[str, Path] = {}
    for name in PACKAGES:
        made = interpreter(name)
        if isinstance(made, str):
            print(f"{name}: no environment, goes without ({made})")
        else:
            found[name] = made
    return found


def main() -> None:
    """Read the arguments and simulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short form: fewer days and sizes, smaller frames"
    )
    size = QUICK if parser.parse_args().quick else FULL
    began = time.monotonic()
    peers = environments()
    # Memory is what the peak of making the frames grew by, so the largest frames come first.
    costs(size, peers)
    false_alarms(size, peers)
    sixty_days(size)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
