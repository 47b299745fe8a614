"""Windows of a model served elsewhere, as counts: what may be reported, and what is refused before it is written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.monitor_policy import REPORTED, TRAINING
from airflow_dataml.core.profiles import CELLS, TOP_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REFERENCE = "reference"
# Sums of the same numbers in another order differ by less, as a share.
_ROUNDING = 1e-6
_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Cell = Annotated[int, Field(ge=0, le=CELLS + 1, strict=True)]
Grid = tuple[float, float]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class ReportedColumn(BaseModel):
    """Counts of one feature.

    :param nulls: rows without a value, or with a number that is not finite.
    :param grid: of a number: from where to where its cells lie.
    :param cells: cell and count; 0 is below the grid, 1025 above it.
    :param values: of a category: value and count, of those that were asked for.
    :param other: rows with any other value, as a category never seen before.
    """

    model_config = _STRICT

    nulls: Count = 0
    grid: Grid | None = None
    cells: tuple[tuple[Cell, Count], ...] | None = None
    values: tuple[tuple[Text, Count], ...] | None = Field(None, max_length=TOP_VALUES)
    other: Count = 0

    @property
    def total(self) -> int:
        """Rows that it tells of."""
        counts = [n for _, n in (*(self.cells or ()), *(self.values or ()))]
        return self.nulls + sum(counts) + self.other

    @property
    def count(self) -> str:
        """How it was counted."""
        return "cells" if self.grid is not None else "values" if self.values is not None else "nulls"


class ReportedScore(BaseModel):
    """Counts of what the model said.

    :param calibrated: cell and count in the cells of the model's calibration, where it has one.
    """

    model_config = _STRICT

    nulls: Count = 0
    grid: Grid = (0.0, 1.0)
    cells: tuple[tuple[Cell, Count], ...]
    calibrated: tuple[tuple[Count, Count], ...] | None = None

    @property
    def scored(self) -> int:
        """Rows with a score."""
        return sum(n for _, n in self.cells)


class ReportedLabels(BaseModel):
    """What came true, summed up.

    :param loss: what was summed up.
    :param cells: cell of the score, rows whose label is known, their labels added, their losses, and the squares of
        those.
    """

    model_config = _STRICT

    loss: Literal["log_loss", "squared_error", "multiclass_log_loss"]
    cells: tuple[tuple[Cell, Count, float, float, float], ...]

    @property
    def sums(self) -> tuple[int, float, float, float]:
        """Rows, labels, losses and their squares over all cells."""
        columns = list(zip(*self.cells, strict=True)) or [(), (0,), (), (), ()]
        rows, labels, losses, squares = (math.fsum(one) for one in columns[1:])
        return int(rows), labels, losses, squares


class ReportedWindow(BaseModel):
    """One window of a model, as counts.

    :param window: its partition key.
    :param reference: what its bins are those of, in the words of ``MonitorPolicy.reference``.
    :param role: ``reference`` for the histograms that later windows shall be compared with.
    :param features: counts by feature.
    :param labels: once they are known; a window may be reported again with more of them.
    """

    model_config = _STRICT

    window: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    reference: str = TRAINING
    role: Literal["window", "reference"] = "window"
    rows: Count
    features: dict[Text, ReportedColumn] = Field(min_length=1, max_length=5000)
    score: ReportedScore | None = None
    labels: ReportedLabels | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> ReportedWindow:
        if self.role == REFERENCE and self.reference != REPORTED:
            msg = f"role 'reference' goes with reference 'reported', received {self.reference!r}"
            raise ValueError(msg)
        for name, one in self.features.items():
            _check_column(name, one, rows=self.rows)
        if self.score is not None:
            _check_score(self.score, rows=self.rows)
        if self.labels is not None:
            _check_labels(self.labels, self.score)
        return self

    @property
    def counts(self) -> dict[str, Any]:
        """All but the labels, in one form: equal for equal numbers."""
        return self.model_dump(mode="json", exclude={"labels"})

    def labels_after(self, before: Mapping[str, Any] | None) -> str | None:
        """Why its labels cannot follow those reported before; ``None`` where they can, or are the same."""
        if before is None or self.labels is None:
            return None
        now = {cell: n for cell, n, *_ in self.labels.cells}
        if self.labels.loss != before["loss"]:
            return f"their loss is {self.labels.loss!r}, and was {before['loss']!r}"
        for cell, n, *_ in before["cells"]:
            if now.get(cell, 0) < n:
                return f"score cell {cell} had {n:,} of them, and has {now.get(cell, 0):,}"
        if sum(now.values()) == sum(n for _, n, *_ in before["cells"]):
            return "they are as many as before, with other sums"
        return None


def _check_column(name: str, one: ReportedColumn, *, rows: int) -> None:
    if (one.grid is None) != (one.cells is None) or (one.grid is not None and one.values is not None):
        msg = f"feature {name!r}: give grid and cells of a number, values of a category, or nulls alone"
        raise ValueError(msg)
    if one.grid is not None:
        _check_grid(f"feature {name!r}", one.grid)
    if one.other and one.values is None:
        msg = f"feature {name!r}: other counts values that are not listed, and there is no list"
        raise ValueError(msg)
    for what, given in (("cell", one.cells), ("value", one.values)):
        _check_once(f"feature {name!r}", what, [place for place, _ in given or ()])
    if one.count == "nulls":
        if one.nulls > rows:
            msg = f"feature {name!r}: {one.nulls:,} nulls in {rows:,} rows"
            raise ValueError(msg)
    elif one.total != rows:
        msg = f"feature {name!r}: nulls and counts add up to {one.total:,}, and the window has {rows:,} rows"
        raise ValueError(msg)


def _check_score(score: ReportedScore, *, rows: int) -> None:
    _check_grid("score", score.grid)
    for given in (score.cells, score.calibrated or ()):
        _check_once("score", "cell", [cell for cell, _ in given])
    if (total := score.nulls + score.scored) != rows:
        msg = f"score: nulls and counts add up to {total:,}, and the window has {rows:,} rows"
        raise ValueError(msg)
    if score.calibrated is not None and (total := sum(n for _, n in score.calibrated)) != score.scored:
        msg = f"score: calibrated counts add up to {total:,}, and {score.scored:,} rows have a score"
        raise ValueError(msg)


def _check_labels(labels: ReportedLabels, score: ReportedScore | None) -> None:
    if score is None:
        msg = "labels are summed up by cell of the score, and there is no score"
        raise ValueError(msg)
    _check_once("labels", "cell", [cell for cell, *_ in labels.cells])
    scored = dict(score.cells)
    for cell, n, total, loss, squares in labels.cells:
        if n > scored.get(cell, 0):
            msg = f"labels: cell {cell} has {n:,} of them, and {scored.get(cell, 0):,} scores"
            raise ValueError(msg)
        if labels.loss == "log_loss" and not -_ROUNDING <= total <= n * (1 + _ROUNDING):
            msg = f"labels: in cell {cell} {n:,} labels of 0 and 1 add up to {total:g}"
            raise ValueError(msg)
        # The squares of n numbers add up to at least the square of their sum over n (Cauchy and Schwarz).
        if loss < 0 or squares < 0 or loss * loss > n * squares * (1 + _ROUNDING) + 1e-12:
            msg = (
                f"labels: in cell {cell} no {n:,} losses add up to {loss:g} and their squares to {squares:g}"
            )
            raise ValueError(msg)


def _check_grid(what: str, grid: Grid) -> None:
    if not grid[0] < grid[1]:
        msg = f"{what}: the grid goes from {grid[0]:g} to {grid[1]:g}; the first is the lower one"
        raise ValueError(msg)


def _check_once(what: str, kind: str, places: Sequence[Any]) -> None:
    if len(set(places)) < len(places):
        twice = next(one for one in places if places.count(one) > 1)
        msg = f"{what}: {kind} {twice!r} occurs twice"
        raise ValueError(msg)


def read_window(given: Any) -> ReportedWindow:
    """Validate what was reported.

    >>> read_window({"window": "2026-03", "rows": 2, "features": {"km": {"nulls": 3}}})
    Traceback (most recent call last):
    ...
    airflow_dataml.core.errors.SpecError: feature 'km': 3 nulls in 2 rows; nothing was written.

    :raises SpecError: something is not understood, negative, or does not add up; the first is named.
    """
    if not isinstance(given, dict):
        msg = f"a window is reported as an object of counts, received {type(given).__name__}; nothing was written."
        raise SpecError(msg)
    try:
        window = ReportedWindow.model_validate(given)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        msg = f"{where + ': ' if where else ''}{words}; nothing was written."
        raise SpecError(msg) from err
    return _sorted(window)


def _sorted(window: ReportedWindow) -> ReportedWindow:
    """The same numbers in one order, without what counts nothing."""

    def kept(cells: Any) -> Any:
        return None if cells is None else tuple(sorted(one for one in cells if one[1]))

    features = {
        name: one.model_copy(update={"cells": kept(one.cells), "values": kept(one.values)})
        for name, one in sorted(window.features.items())
    }
    score, labels = window.score, window.labels
    if score is not None:
        score = score.model_copy(update={"cells": kept(score.cells), "calibrated": kept(score.calibrated)})
    if labels is not None:
        labels = labels.model_copy(update={"cells": kept(labels.cells)})
    return window.model_copy(update={"features": features, "score": score, "labels": labels})
