"""Counting rows where a model serves: what is told of a window, and no row of it.

A server of models asks what to count (``DataMLHook.counting``, or ``GET models/MODEL/counting``), counts, and
reports the counts. This module imports the standard library alone, so that it can be taken along there.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CELLS = 1024
# Profiles keep so many characters of a value, and so many values.
VALUE_CHARACTERS, TOP_VALUES = 200, 256
# A number beyond it counts as missing, as one that is not finite.
_LARGEST = 1e130
_NEAR = 1e-7
# By so much of the range of the values a grid of one's own is wider on either side.
_MARGIN = 0.5


def count_window(
    counting: Mapping[str, Any],
    *,
    window: str,
    rows: Iterable[Mapping[str, Any]],
    scores: Sequence[float | None] | None = None,
    labels: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Count the rows of a window into a report; what is counted is exact, and nothing else leaves.

    :param counting: what to count, as the ledger answers it, or :func:`own_counting`.
    :param window: the window's partition key.
    :param rows: what the model was given, by feature.
    :param scores: what it said of each row; ``None`` where it said nothing.
    :param labels: what came true of each row, ``None`` where nobody knows yet: 0 and 1, or a number for a regression.

    >>> asked = {"reference": "training", "score": [0.0, 1.0], "loss": "log_loss", "features": [
    ...     {"name": "km", "count": "cells", "grid": [0.0, 10.0]}, {"name": "kind", "count": "values", "values": ["bus"]}]}
    >>> rows = [{"km": 2.5, "kind": "bus"}, {"km": None, "kind": "tram"}]
    >>> told = count_window(asked, window="2026-03", rows=rows, scores=[0.5, 0.25])
    >>> told["features"]["km"], told["features"]["kind"]
    ({'nulls': 1, 'grid': [0.0, 10.0], 'cells': [[257, 1]]}, {'nulls': 0, 'values': [['bus', 1]], 'other': 1})
    >>> told["rows"], told["score"]
    (2, {'nulls': 0, 'grid': [0.0, 1.0], 'cells': [[257, 1], [513, 1]]})
    """
    held = list(rows)
    for what, given in (("scores", scores), ("labels", labels)):
        if given is not None and len(given) != len(held):
            msg = (
                f"{len(held)} rows and {len(given)} {what}: give one for each row, None where there is none."
            )
            raise ValueError(msg)
    told: dict[str, Any] = {
        "window": window,
        "reference": counting["reference"],
        "rows": len(held),
        "features": {
            f["name"]: _column(f, [row.get(f["name"]) for row in held]) for f in counting["features"]
        },
    }
    if counting.get("role"):
        told["role"] = counting["role"]
    if scores is None:
        return told
    grid = counting.get("score") or [0.0, 1.0]
    told["score"] = _numbers(scores, grid)
    edges = counting.get("calibrated")
    if edges is not None:
        told["score"]["calibrated"] = _calibrated(scores, edges)
    if labels is not None:
        told["labels"] = _labels(scores, labels, grid, counting.get("loss") or "log_loss")
    return told


def own_counting(
    rows: Iterable[Mapping[str, Any]],
    *,
    reference: str = "reported",
    score: Sequence[float] = (0.0, 1.0),
    loss: str | None = None,
) -> dict[str, Any]:
    """What to count where the ledger knows no data of the model: chosen from rows that the model learnt from.

    :param rows: enough of them; values outside what they span are told apart from these, not from each other.
    :param reference: ``reported``, where the report shall be the reference, or ``first``, where it is the first window.
    :param score: from where to where scores are counted.
    :param loss: ``log_loss`` or ``squared_error``, where labels will be reported.

    >>> own_counting([{"km": 0, "kind": "bus"}, {"km": 10, "kind": "tram"}])["features"]
    [{'name': 'km', 'count': 'cells', 'grid': [-5.0, 15.0]}, {'name': 'kind', 'count': 'values', 'values': ['bus', 'tram']}]
    """
    held = list(rows)
    names = list(dict.fromkeys(name for row in held for name in row))
    asked: dict[str, Any] = {
        "reference": reference,
        "features": [_chosen(name, [row.get(name) for row in held]) for name in names],
        "score": [float(score[0]), float(score[1])],
        "loss": loss,
    }
    return asked | ({"role": "reference"} if reference == "reported" else {})


def cell_of(value: float, low: float, high: float) -> int:
    """The cell of a number among ``CELLS`` equal ones, as PostgreSQL's ``width_bucket`` finds it.

    >>> [cell_of(value, 0.0, 1.0) for value in (-3, 0, 0.5, 1)]
    [0, 1, 513, 1025]
    """
    if value < low:
        return 0
    if value >= high:
        return CELLS + 1
    # The quotient may be rounded up to the end.
    return min(int(CELLS * ((value - low) / (high - low))), CELLS - 1) + 1


def text_of(value: Any) -> str:
    """A category as profiles write it.

    >>> text_of(True), text_of("bus"), text_of(7)
    ('true', 'bus', '7')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:VALUE_CHARACTERS]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if abs(number) <= _LARGEST else None


def _column(asked: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    if asked["count"] == "cells":
        return _numbers(values, asked["grid"])
    present = [value for value in values if value is not None]
    nulls = len(values) - len(present)
    if asked["count"] == "nulls":
        return {"nulls": nulls}
    counts = Counter(map(text_of, present))
    seen = [[name, counts.pop(name)] for name in asked["values"] if counts[name]]
    return {"nulls": nulls, "values": seen, "other": sum(counts.values())}


def _numbers(values: Sequence[Any], grid: Sequence[float]) -> dict[str, Any]:
    known = [number for value in values if (number := _number(value)) is not None]
    cells = Counter(cell_of(number, *grid) for number in known)
    return {
        "nulls": len(values) - len(known),
        "grid": list(grid),
        "cells": [[c, cells[c]] for c in sorted(cells)],
    }


def _calibrated(scores: Sequence[Any], edges: Sequence[float]) -> list[list[int]]:
    known = (number for score in scores if (number := _number(score)) is not None)
    cells = Counter(bisect.bisect_right(edges, number) for number in known)
    return [[cell, cells[cell]] for cell in sorted(cells)]


def _labels(scores: Sequence[Any], labels: Sequence[Any], grid: Sequence[float], loss: str) -> dict[str, Any]:
    sums: dict[int, list[float]] = {}
    for given, label in zip(scores, labels, strict=True):
        score, truth = _number(given), _number(label)
        if score is None or truth is None:
            continue
        one = _loss(loss, score, truth)
        mine = sums.setdefault(cell_of(score, *grid), [0, 0.0, 0.0, 0.0])
        for place, more in enumerate((1, truth, one, one * one)):
            mine[place] += more
    return {"loss": loss, "cells": [[cell, *sums[cell]] for cell in sorted(sums)]}


def _loss(name: str, score: float, label: float) -> float:
    if name == "squared_error":
        return (label - score) ** 2
    if name == "log_loss":
        share = min(max(score, _NEAR), 1 - _NEAR)
        return -(label * math.log(share) + (1 - label) * math.log(1 - share))
    msg = f"the loss {name!r} needs more than scores: sum it up where the probabilities are, and report the sums."
    raise ValueError(msg)


def _chosen(name: str, values: Sequence[Any]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    numbers = [v for v in present if isinstance(v, int | float) and not isinstance(v, bool)]
    if not present:
        return {"name": name, "count": "nulls"}
    if len(numbers) < len(present):
        counts = Counter(map(text_of, present))
        top = sorted(counts, key=lambda value: (-counts[value], value))[:TOP_VALUES]
        return {"name": name, "count": "values", "values": top}
    known = [number for value in numbers if (number := _number(value)) is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    wide = (high - low) * _MARGIN or max(abs(low), 1.0)
    return {"name": name, "count": "cells", "grid": [low - wide, high + wide]}
