"""The checks of our own block of a contract: anomalies, distributions and references across datasets.

They stand in reports beside the contract's own checks, under ids that last: ``x-dataml.anomalies.row_count``,
``x-dataml.distributions.dep_delay``, ``x-dataml.references.carrier``.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from airflow_dataml.core.anomaly import Direction  # noqa: TC001 - pydantic reads the annotation
from airflow_dataml.core.contract_rules import Level, Part, Sql
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.forecasting import Season
from airflow_dataml.core.refs import VersionRef

EXTENSION = "x-dataml"
# Both mean the version that readers see while the batch is verified; it is the one before the batch's.
CURRENT_WORDS = ("previous", "current")
COLUMN_METRICS = ("missing", "missing_percent", "avg", "min", "max", "sum", "stddev", "distinct", "freshness")
_METRIC = re.compile(rf"(?P<name>{'|'.join(COLUMN_METRICS)})\((?P<column>.+)\)\Z")
_LONGEST_SEASON = 2000


def _season(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= _LONGEST_SEASON
    if value not in ("none", "weekly", "auto") and not whole:
        msg = f"must be none, weekly, auto or a number of batches from 2 to {_LONGEST_SEASON}"
        raise ValueError(msg)
    return value


def _dataset(value: object) -> object:
    try:
        VersionRef.parse(str(value))
    except SpecError as err:
        msg = "must be a managed dataset such as airlines, or a version of one such as airlines@2"
        raise ValueError(msg) from err
    return value


SeasonKey: TypeAlias = Annotated[Season, BeforeValidator(_season)]
DatasetRef: TypeAlias = Annotated[str, BeforeValidator(_dataset)]


class ExtensionCheck(Part):
    """What the checks of our block share.

    :param name: what people call the check; shown in reports.
    :param qualifier: tells two checks of the same thing apart.
    :param level: whether a miss fails the contract, or only warns.
    """

    kind: ClassVar[str]
    name: Sql | None = None
    qualifier: str | int | None = None
    level: Level = "fail"

    @property
    def subject(self) -> str:
        """What it looks at."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What is measured, where the author gives it no name."""
        return self.subject

    @property
    def id(self) -> str:
        """The check's lasting name."""
        tail = "" if self.qualifier is None else f".{self.qualifier}"
        return f"{EXTENSION}.{self.kind}.{self.subject}{tail}"


class AnomalyCheck(ExtensionCheck):
    """A number of a batch against the range that its past foretells.

    :param metric: ``row_count``, or one of ``missing``, ``missing_percent``, ``avg``, ``min``, ``max``, ``sum``,
        ``stddev``, ``distinct`` and ``freshness`` (hours since the newest value) with a column in parentheses; of
        the batch, from its profile, without a scan.
    :param check: instead of a metric: a check of this contract, whose observed value is looked at.
    :param false_alarm_rate: share of ordinary batches that may be called anomalous.
    :param min_history: below this many past batches the check says ``unknown`` and does not count.
    :param season: ``weekly`` tells days of the week apart, a number the places in a period of so many batches;
        ``auto`` finds out whether there is a weekly season.
    :param direction: which side of the range is an anomaly.
    :param window: how many past batches to learn from, at most.
    """

    kind: ClassVar[str] = "anomalies"
    metric: str | None = None
    check: Sql | None = None
    false_alarm_rate: float = Field(0.01, gt=0, lt=0.5)
    min_history: int = Field(14, ge=10)
    season: SeasonKey = "none"
    direction: Direction = "both"
    window: int = Field(90, ge=10, le=10_000)

    @field_validator("metric")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and value != "row_count" and not _METRIC.fullmatch(value):
            forms = ", ".join(f"{name}(column)" for name in COLUMN_METRICS)
            msg = f"must be row_count or one of {forms}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _measures_one_thing(self) -> Self:
        if (self.metric is None) == (self.check is None):
            msg = "needs exactly one of metric, check"
            raise ValueError(msg)
        if self.window < self.min_history:
            msg = f"window: {self.window} batches hold fewer than the {self.min_history} of min_history"
            raise ValueError(msg)
        if isinstance(self.season, int) and self.window < 3 * self.season:
            msg = f"window: {self.window} batches hold fewer than three seasons of {self.season}; write at least {3 * self.season}"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """The metric, or the id of the check."""
        return str(self.metric or self.check)

    @property
    def unit(self) -> str:
        """Unit of the metric, empty for plain numbers."""
        return {"missing_percent": "%", "freshness": "hours"}.get(self.function or "", "")

    @property
    def column(self) -> str | None:
        """The column of the metric, if it has one."""
        found = _METRIC.fullmatch(self.metric or "")
        return found["column"] if found else None

    @property
    def function(self) -> str | None:
        """The metric without its column; ``None`` where a check is looked at."""
        found = _METRIC.fullmatch(self.metric or "")
        return found["name"] if found else self.metric


class DistributionCheck(ExtensionCheck):
    """A column's distribution in a batch against that of a version.

    :param reference: a version such as ``flights@3``, or ``previous`` (the same as ``current``): the version that
        is current while the batch is verified.
    :param tolerance: shift that is borne, as a population stability index.
    :param alpha: share of false findings among findings; the test knows the size of both sides.
    :param min_rows: below this many rows on either side the check says ``unknown`` and does not count.
    """

    kind: ClassVar[str] = "distributions"
    column: Sql
    reference: DatasetRef = "previous"
    tolerance: float = Field(0.1, ge=0, le=5)
    alpha: float = Field(0.01, gt=0, lt=0.5)
    min_rows: int = Field(500, ge=2)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    @property
    def title(self) -> str:
        """What is measured, where the author gives it no name."""
        return f"distribution({self.column})"


class ReferenceCheck(ExtensionCheck):
    """Columns whose values must be keys of another managed dataset, by the rules of a foreign key.

    A row with a null in any of the columns refers to nothing, and passes.

    :param dataset: the dataset, its current version unless one is pinned as in ``airlines@2``.
    :param to: the key columns there; of the same names unless given.
    :param max_failed: rows that may refer to nothing.
    """

    kind: ClassVar[str] = "references"
    columns: Annotated[list[Sql], Field(min_length=1)]
    dataset: DatasetRef
    to: list[Sql] = Field(default_factory=list)
    max_failed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _pairs_columns(self) -> Self:
        if self.to and len(self.to) != len(self.columns):
            msg = f"to: names {len(self.to)} columns where columns names {len(self.columns)}; write one for each"
            raise ValueError(msg)
        return self

    @property
    def keys(self) -> list[str]:
        """The key columns of the other dataset."""
        return self.to or self.columns

    @property
    def subject(self) -> str:
        """The columns."""
        return ",".join(self.columns)

    @property
    def title(self) -> str:
        """What is measured, where the author gives it no name."""
        return f"reference({', '.join(self.columns)})"
