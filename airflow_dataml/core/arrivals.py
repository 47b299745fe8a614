"""Waiting for data as values: what is awaited, what has arrived, and what one lacks for the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_dataml.core.datasets import CURRENT
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import VersionRef, check_name

LeastVerdict = Literal["pass", "warn"]
ACCEPTED: dict[LeastVerdict, tuple[str, ...]] = {"pass": ("pass",), "warn": ("pass", "warn")}
# What a template renders to when it has nothing to say.
_NOTHING = (None, "", "None")


class Awaited(BaseModel):
    """Which version of a dataset somebody waits for.

    The newest version of the batch, or of the dataset where no batch is named, is the one that is judged:
    an older one with a better verdict is not what a reader would see.

    :param asset: logical name of the dataset.
    :param alias: the version must be the one this alias points at, or one that led to it; a publication on
        a branch, or one that was rolled back, is none. ``None`` takes any version there is.
    :param partition_key: the batch the version brought.
    :param newer_than: the version's number must be higher.
    :param after: the version must have been made later, by the ledger's clock.
    :param min_verdict: what the newest check of the version, or of the part it brought, must at least say.
    :param max_age: seconds since the version was made, at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    alias: str | None = CURRENT
    partition_key: str | None = None
    newer_than: int | None = None
    after: datetime | None = None
    min_verdict: LeastVerdict | None = None
    max_age: float | None = Field(default=None, gt=0)

    @classmethod
    def parse(cls, asset: str, *, newer_than: object = None, **said: Any) -> Self:
        """Read what a person wrote in a DAG.

        :param newer_than: a version's number, a version such as ``rides@17``, or a point in time, all as
            they are or as text; nothing, or the text a template makes of nothing, sets no bound.
        :raises SpecError: a field cannot be read.
        """
        number, after = _bound(check_name(asset), newer_than)
        fields = {"asset": asset, "newer_than": number, "after": after, **said}
        try:
            return cls.model_validate(fields)
        except ValidationError as err:
            first = err.errors()[0]
            name = ".".join(map(str, first["loc"]))
            msg = f"waiting for {asset!r}: {name}={first['input']!r} is not usable: {first['msg']}."
            raise SpecError(msg) from err

    @property
    def verdicts(self) -> list[str] | None:
        """The verdicts that will do; ``None`` when none is asked for."""
        return list(ACCEPTED[self.min_verdict]) if self.min_verdict else None

    def lacks(self, arrival: Arrival | None) -> str | None:
        """Return what is missing for the newest version to be the awaited one; ``None`` when nothing is.

        >>> Awaited(asset="rides", newer_than=3).lacks(Arrival("rides", 3))
        'the newest is rides@3, awaited is one after 3'
        """
        if arrival is None:
            return "there is none yet"
        if self.newer_than is not None and arrival.number <= self.newer_than:
            return f"the newest is {arrival.ref}, awaited is one after {self.newer_than}"
        if self.after is not None and (arrival.created_at is None or arrival.created_at <= self.after):
            return f"the newest is {arrival.ref} of {arrival.created_at}, awaited is one after {self.after}"
        if self.max_age is not None and arrival.age > self.max_age:
            return f"the newest is {arrival.ref}, {arrival.age:.0f} s old, awaited is one of at most {self.max_age:.0f} s"
        if self.verdicts is not None and arrival.verdict not in self.verdicts:
            said = f"its newest check says {arrival.verdict}" if arrival.verdict else "it was not checked"
            return f"the newest is {arrival.ref} and {said}, awaited is at least {self.min_verdict}"
        return None

    def __str__(self) -> str:
        words = [f"a version of {self.asset!r}"]
        words += [f"with the batch {self.partition_key!r}"] if self.partition_key else []
        words += [f"under the alias {self.alias!r}"] if self.alias not in (None, CURRENT) else []
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version as somebody who waits sees it.

    :param verdict: of its newest check; ``None`` when it was never checked.
    :param age: seconds since it was made, by the ledger's clock.
    """

    asset: str
    number: int
    rows: int | None = None
    partition_key: str | None = None
    fingerprint: str | None = None
    verdict: str | None = None
    created_at: datetime | None = None
    age: float = 0.0

    @property
    def ref(self) -> str:
        """The version as people write it."""
        return f"{self.asset}@{self.number}"

    def payload(self) -> dict[str, Any]:
        """Return what an event carries: plain JSON, small."""
        return {
            "dataset": self.asset,
            "version": self.number,
            "rows": self.rows,
            "partition_key": self.partition_key,
            "fingerprint": self.fingerprint,
        }


def _bound(asset: str, value: object) -> tuple[int | None, datetime | None]:
    if value in _NOTHING:
        return None, None
    if isinstance(value, datetime):
        return None, _aware(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, None
    if isinstance(value, str):
        text = value.strip()
        if text.isdigit():
            return int(text), None
        if text.startswith(f"{asset}@") and (number := VersionRef.parse(text).number) is not None:
            return number, None
        try:
            return None, _aware(datetime.fromisoformat(text))
        except ValueError:
            pass
    msg = f"newer_than={value!r} cannot be read: write a number, {asset}@<number>, or a point in time in ISO form."
    raise SpecError(msg)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
