"""What to count of a model served elsewhere: the bins of its reference, and how counts in them become a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.profiles import CELLS, covered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.reported import ReportedColumn, ReportedWindow

# How categories that the reference does not list stand in a profile; no value of a column is it.
_UNLISTED = "\x00"


@dataclass(frozen=True, slots=True)
class Counting:
    """What to count of a model's windows: the bins of what they will be compared with, and nothing of its rows.

    :param model: the version, as ``name@number``.
    :param reference: in the words of ``MonitorPolicy.reference``.
    :param against: what that is: a dataset version, or an earlier report.
    :param features: ``name``, ``count`` (``cells``, ``values`` or ``nulls``), and ``grid`` or ``values``.
    :param score: from where to where scores are counted; ``None`` where the reference has none.
    :param calibrated: the lowest score of each cell of the calibration but the first, where there is one.
    :param loss: what labels are summed up by; ``None`` where nobody knows the model's task.
    :param chosen: whether the features are the reporter's to choose among these.
    """

    model: str
    reference: str
    against: str
    features: tuple[dict[str, Any], ...]
    score: tuple[float, float] | None = None
    calibrated: tuple[float, ...] | None = None
    loss: str | None = None
    chosen: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "model": self.model,
            "reference": self.reference,
            "against": self.against,
            "cells": CELLS,
            "features": list(self.features),
            "score": list(self.score) if self.score else None,
            "calibrated": None if self.calibrated is None else list(self.calibrated),
            "loss": self.loss,
        }


def features_of(
    profile: Mapping[str, Any], names: Sequence[str], *, shy: bool = False
) -> tuple[dict[str, Any], ...]:
    """How each column of a profile is counted, so that counts of it can be compared.

    :param shy: list no values of a column where most come once, as names of people do: nobody knows that it is a
        feature, and of such a column the rate of missing values alone is compared.

    >>> km = {"nulls": 0, "grid": [0.0, 8.0], "cells": [[3, 9]]}
    >>> features_of({"columns": {"km": km, "kind": {"nulls": 0, "values": [["bus", 9]], "other": 0}}}, ["km", "kind"])
    ({'name': 'km', 'count': 'cells', 'grid': [0.0, 8.0]}, {'name': 'kind', 'count': 'values', 'values': ['bus']})
    """
    found: list[dict[str, Any]] = []
    for name in names:
        column = profile["columns"][name]
        if column.get("kind") != "temporal" and column.get("grid"):
            found.append({"name": name, "count": "cells", "grid": [float(edge) for edge in column["grid"]]})
        elif "values" in column and not (shy and _names_rows(column)):
            found.append({"name": name, "count": "values", "values": [str(v) for v, _ in column["values"]]})
        else:
            found.append({"name": name, "count": "nulls"})
    return tuple(found)


def _names_rows(column: Mapping[str, Any]) -> bool:
    return bool(covered(column) < 2 * int(column.get("distinct", 0)))


def check_fits(window: ReportedWindow, asked: Counting) -> None:
    """Refuse counts in other bins than were asked for.

    :raises SpecError: a feature is missing or unknown, or was counted otherwise.
    """
    known = {one["name"]: one for one in asked.features}
    for name, one in window.features.items():
        if name not in known:
            what = f"feature of {asked.model} in {asked.against}"
            raise SpecError(str(NotFoundError.from_available(what, name, tuple(known))))
        _check_bins(f"feature {name!r}", one, known[name], asked)
    if not asked.chosen and (missing := [name for name in known if name not in window.features]):
        msg = (
            f"features {missing[:10]} of {asked.model} are missing: report all of them. Nothing was written."
        )
        raise SpecError(msg)
    if asked.score is not None and (window.score is None or window.score.grid != asked.score):
        given = (
            "no score"
            if window.score is None
            else f"scores from {window.score.grid[0]:g} to {window.score.grid[1]:g}"
        )
        msg = f"{asked.against} counts scores from {asked.score[0]:g} to {asked.score[1]:g}, received {given}. Nothing was written."
        raise SpecError(msg)
    edges = len(asked.calibrated or ())
    strange = [cell for cell, _ in (window.score.calibrated or () if window.score else ()) if cell > edges]
    if strange or (
        asked.calibrated is None and window.score is not None and window.score.calibrated is not None
    ):
        msg = f"score: calibrated counts in {edges + 1} cells were asked for, received others. Nothing was written."
        raise SpecError(msg)
    if window.labels is not None and asked.loss is not None and window.labels.loss != asked.loss:
        msg = f"the loss of {asked.model} is {asked.loss!r}, received {window.labels.loss!r}. Nothing was written."
        raise SpecError(msg)


def _check_bins(what: str, one: ReportedColumn, asked: Mapping[str, Any], counting: Counting) -> None:
    wrong = None
    if one.count != asked["count"]:
        wrong = f"it was counted by {one.count}, and {asked['count']} were asked for"
    elif one.grid is not None and list(one.grid) != asked["grid"]:
        wrong = f"its cells lie from {one.grid[0]!r} to {one.grid[1]!r}, and from {asked['grid'][0]!r} to {asked['grid'][1]!r} were asked for"
    elif strange := [value for value, _ in one.values or () if value not in asked["values"]]:
        wrong = f"value {strange[0]!r} is not among those asked for: count it as other"
    if wrong:
        msg = f"{what}: {wrong}. Its bins are those of {counting.against} (reference {counting.reference!r}). Nothing was written."
        raise SpecError(msg)


def profile_of(body: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """The profile that counts come to.

    :param body: what was kept of a report.
    :param own: whether its lists are its own, as a reference's are; else what they lack was never seen before.

    >>> body = {"rows": 3, "features": {"kind": {"nulls": 0, "values": [["bus", 2]], "other": 1}}}
    >>> profile_of(body, own=True)["columns"]["kind"]
    {'nulls': 0, 'values': [['bus', 2]], 'other': 1}
    >>> len(profile_of(body, own=False)["columns"]["kind"]["values"])
    2
    """
    columns = {}
    for name, one in body["features"].items():
        if one.get("grid") is not None:
            columns[name] = {"nulls": one["nulls"], "grid": one["grid"], "cells": one["cells"]}
        elif one.get("values") is None:
            # Of a moment too the rate of missing values alone is compared.
            columns[name] = {"nulls": one["nulls"], "kind": "temporal"}
        else:
            columns[name] = _categories(one, own=own)
    return {"rows": body["rows"], "columns": columns}


def _categories(one: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    unlisted = [[_UNLISTED, one["other"]]] if one["other"] and not own else []
    values = sorted((list(pair) for pair in one["values"]), key=lambda pair: (-pair[1], pair[0]))
    return {"nulls": one["nulls"], "values": values + unlisted, "other": one["other"] if own else 0}
