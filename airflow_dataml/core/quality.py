"""Quality: what an engine found out about a table, and the verdict that follows from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractCheck

Observed = float | int | str | None


class Verdict(StrEnum):
    """What was concluded, from best to worst.

    ``error`` means that something could not be evaluated, ``unknown`` that there is too little data to say.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    UNKNOWN = "unknown"
    FAIL = "fail"
    ERROR = "error"

    @property
    def blocks(self) -> bool:
        """Whether a gate stays shut.

        >>> [verdict.value for verdict in Verdict if verdict.blocks]
        ['unknown', 'fail', 'error']
        """
        return self not in (Verdict.PASS, Verdict.WARN)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """Return the worst of some verdicts; nothing at all is an error.

        >>> Verdict.worst([Verdict.PASS, Verdict.WARN]), Verdict.worst([])
        (<Verdict.WARN: 'warn'>, <Verdict.ERROR: 'error'>)
        """
        order = list(cls)
        return max(verdicts, key=order.index, default=cls.ERROR)


# What was measured and refused says more than what could not be measured because of it.
_TELLING = (Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN, Verdict.WARN, Verdict.PASS)
_DEEDS = {
    Verdict.PASS: "passed",
    Verdict.WARN: "warned",
    Verdict.UNKNOWN: "had too little data",
    Verdict.FAIL: "failed",
    Verdict.ERROR: "could not be evaluated",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    :param id: the check's lasting name, ``columns.<column>.checks.<type>[.<qualifier>]``.
    :param name: what the author calls it, or else what it measures.
    :param threshold: what the measured value must be, in words.
    :param observed: the measured value, in ``unit``.
    :param detail: what a number cannot say: the columns that differ, the reason it was not evaluated.
    :param level: ``warn`` where a miss only warns.
    """

    id: str
    type: str
    column: str | None
    name: str
    verdict: Verdict
    threshold: str
    observed: Observed = None
    unit: str = ""
    level: str = "fail"
    detail: str = ""
    diagnostics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, check: ContractCheck, verdict: Verdict, *, observed: Observed = None, **facts: Any) -> Self:
        """Build the result of a contract's check.

        :param facts: ``detail`` and ``diagnostics``.
        """
        if isinstance(observed, float) and not math.isfinite(observed):
            observed = str(observed)
        return cls(
            id=check.id,
            type=check.type,
            column=check.column,
            name=check.name,
            verdict=verdict,
            threshold=check.expected,
            observed=observed,
            unit=check.body.unit,
            level=check.level,
            **facts,
        )

    @property
    def sentence(self) -> str:
        """What was observed and what was expected, in a few words.

        >>> CheckResult("i", "aggregate", "km", "avg(km)", Verdict.FAIL, "< 1200", 1671.52).sentence
        'avg(km) is 1,671.52, expected < 1200'
        """
        if self.detail:
            return f"{self.name}: {self.detail}"
        if self.observed is None:
            return f"{self.name} could not be evaluated"
        return (
            f"{self.name} is {_number(self.observed)} {self.unit}".rstrip() + f", expected {self.threshold}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return asdict(self) | {"verdict": self.verdict.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote."""
        return cls(**{**values, "verdict": Verdict(values["verdict"])})


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What a contract's checks found in one table at one time.

    :param relation: the table or view really read.
    :param rows: rows that were looked at, after the contract's own ``filter``; ``None`` if not counted.
    :param errors: what went wrong beside the checks, or kept them from being evaluated.
    """

    engine: str
    engine_version: str
    contract_digest: str
    relation: Relation
    rows: int | None
    checks: tuple[CheckResult, ...]
    started: datetime
    finished: datetime
    errors: tuple[str, ...] = ()

    @classmethod
    def conclude(
        cls,
        *,
        contract: Contract,
        found: Iterable[CheckResult],
        rows: int | None,
        errors: Iterable[str] = (),
        **facts: Any,
    ) -> Self:
        """Build the report of a contract from what an engine found.

        Every check of the contract is in the report: one without a result is an error. On an empty table
        a check with nothing to measure is unknown, or passes where the contract allows an empty table.

        :param facts: the other fields.
        """
        results = {result.id: result for result in found}
        strangers = sorted(results.keys() - {check.id for check in contract.checks})
        wrong = [*errors, *(f"the engine answered a check that was not asked: {name}" for name in strangers)]
        pairs = [
            (asked, results.get(asked.id) or CheckResult.of(asked, Verdict.ERROR))
            for asked in contract.checks
        ]
        checks = [answer for _, answer in pairs]
        if rows == 0 and not wrong:
            checks = [_on_no_rows(*pair, required=contract.require_rows) for pair in pairs]
        if contract.require_rows:
            checks.append(_rows_required(rows))
        facts |= {"contract_digest": contract.digest, "errors": tuple(dict.fromkeys(wrong))}
        return cls(rows=rows, checks=tuple(checks), **facts)

    @property
    def verdict(self) -> Verdict:
        """The worst of every check; any error, or no check at all, is an error."""
        return Verdict.ERROR if self.errors else Verdict.worst(check.verdict for check in self.checks)

    def worst(self, n: int = 3) -> tuple[CheckResult, ...]:
        """Return the checks that did not pass, those that failed first."""
        bad = [check for check in self.checks if check.verdict is not Verdict.PASS]
        return tuple(sorted(bad, key=lambda check: _TELLING.index(check.verdict))[:n])

    def summary(self) -> str:
        """Say in one line how many checks did what, and name the three worst."""
        total = len(self.checks)
        counts = {verdict: sum(check.verdict is verdict for check in self.checks) for verdict in _TELLING}
        deeds = [f"{counts[verdict]} {_DEEDS[verdict]}" for verdict in _TELLING[:-1] if counts[verdict]]
        head = f"{', '.join(deeds)} of {total} checks" if deeds else f"all {total} checks passed"
        where = "" if self.rows is None else f" on {self.rows:,} rows"
        told = [check for check in self.worst() if not (self.errors and check.verdict is Verdict.ERROR)]
        parts = [*map(_line, self.errors[:1]), *(check.sentence for check in told)]
        return f"{head}{where}{': ' if parts else ''}{'; '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, its verdict included."""
        return asdict(self) | {
            "relation": str(self.relation),
            "verdict": self.verdict.value,
            "checks": [check.to_dict() for check in self.checks],
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat(),
            "errors": list(self.errors),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote; the verdict follows anew from the checks."""
        return cls(
            engine=values["engine"],
            engine_version=values["engine_version"],
            contract_digest=values["contract_digest"],
            relation=Relation.parse(values["relation"]),
            rows=values["rows"],
            checks=tuple(CheckResult.from_dict(check) for check in values["checks"]),
            started=datetime.fromisoformat(values["started"]),
            finished=datetime.fromisoformat(values["finished"]),
            errors=tuple(values["errors"]),
        )


class QualityEngine(Protocol):
    """Something that verifies a contract on a table."""

    @property
    def name(self) -> str:
        """The engine's name in reports."""

    def version(self) -> str:
        """Return the version of what does the work."""

    def verify(
        self,
        *,
        contract: Contract,
        relation: Relation,
        connection: Any,
        variables: Mapping[str, Any],
        data_timestamp: datetime | None,
        timeout_s: float,
        references: Mapping[str, Relation],
    ) -> QualityReport:
        """Run every check of a contract on a table or view.

        Nothing is written: what the engine does is undone before it returns, the caller's transaction
        is neither committed nor rolled back, and the connection can be used as before.

        :param relation: what to read instead of the contract's dataset; may be uncommitted or temporary.
        :param connection: a live psycopg 3 connection, in any transaction state but an aborted one.
        :param data_timestamp: the time freshness is measured against; now unless given.
        :param timeout_s: seconds for all queries together; what is not evaluated by then is an error.
        :param references: dataset named in ``valid_reference_data`` -> the table to read instead.
        :raises ContractError: a variable or reference does not fit the contract.
        :raises QualityEngineError: the database does not answer, or the engine broke.
        :raises MissingExtraError: the engine is not installed.
        """


def _on_no_rows(check: ContractCheck, answer: CheckResult, *, required: bool) -> CheckResult:
    if answer.verdict is not Verdict.ERROR:
        return answer
    verdict = Verdict.UNKNOWN if required else Verdict.PASS
    return CheckResult.of(check, verdict, detail="there is no row to measure")


def _rows_required(rows: int | None) -> CheckResult:
    verdict = Verdict.ERROR if rows is None else Verdict.PASS if rows > 0 else Verdict.FAIL
    empty = "the table is empty" if rows == 0 else ""
    return CheckResult(
        "x-dataml.require_rows", "require_rows", None, "rows", verdict, "> 0", rows, detail=empty
    )


def _number(value: Observed) -> str:
    """Write a number as people read it.

    >>> _number(336776.0), _number(1671.5234), _number(50.1266), _number(0.000123456), _number(12345)
    ('336,776', '1,671.52', '50.13', '0.0001235', '12,345')
    """
    if isinstance(value, str | None):
        return str(value)
    if isinstance(value, float):
        rounded = round(value, 2) if abs(value) >= 1000 else float(f"{value:.4g}")
        value = int(rounded) if rounded.is_integer() else rounded
    return f"{value:,}"


def _line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")
