"""Groups of rows: a challenger that is better on the whole must not be worse for some; see ``fairness`` too."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_coded, as_numbers
from airflow_dataml.core.metric_gates import Finding
from airflow_dataml.core.sequential import Evidence, confidence_sequence
from airflow_dataml.core.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.metric_gates import Verdict

_EXTRA = "monitoring"
OTHERS = "(others)"
MISSING = "(missing)"


class Grouping(BaseModel):
    """How a column makes groups of rows.

    :param column: any column of the dataset; it need not be a feature of the model.
    :param edges: cut a number here; without edges each value is a group.
    :param top: the most frequent values that are groups of their own; the others are one more together.
    :param min_rows: a group with fewer rows is ``unknown``.
    :param small: whether such a group holds the promotion back (``hold``) or is only named (``say``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    column: str = Field(min_length=1, max_length=63)
    edges: tuple[float, ...] = ()
    top: int = Field(10, ge=1, le=100)
    min_rows: int = Field(100, ge=10)
    small: Literal["hold", "say"] = "hold"

    @field_validator("edges")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in itertools.pairwise(value)):
            msg = "write the edges in ascending order, each once"
            raise ValueError(msg)
        return value


class Slice(Grouping):
    """Groups of rows on each of which the challenger must surely not be worse than the margin allows.

    :param margin: by what share of the opponent's mean loss on the group the challenger's may be larger.
    """

    margin: float = Field(0.05, ge=0)


@dataclass(frozen=True, slots=True)
class Group:
    """One group's evidence over all looks.

    :param number: position of its rule in the policy.
    :param reach: rows at which its interval is to be narrowest, fixed at the first look.
    :param of: the class a rate is of, where a model tells more than two apart.
    """

    number: int
    value: str
    evidence: Evidence
    reach: float
    of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        found = {
            "number": self.number,
            "value": self.value,
            "evidence": self.evidence.to_dict(),
            "reach": self.reach,
        }
        return found | ({"of": self.of} if self.of else {})


def read_groups(items: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Read what ``Group.to_dict`` wrote."""
    return [
        Group(
            one["number"], one["value"], Evidence.from_dict(one["evidence"]), one["reach"], one.get("of", "")
        )
        for one in items
    ]


def groups_of(rule: Grouping, column: Any, known: Sequence[str] | None = None) -> dict[str, Any]:
    """The rows of every group as a mask, most frequent group first.

    :param known: groups of an earlier look, which stay the groups.

    >>> made = groups_of(Slice(column="kind", top=1), ["a", "b", "a", None])
    >>> {name: rows.tolist() for name, rows in made.items()}
    {'a': [True, False, True, False], '(others)': [False, True, False, False], '(missing)': [False, False, False, True]}
    >>> list(groups_of(Slice(column="km", edges=(1, 5)), [0.5, 3, 9]))
    ['below 1', '1 to 5', '5 and more']
    """
    np = load("numpy", extra=_EXTRA)
    codes, names = _coded(rule, column)
    if known is None:
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        kept = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
        chosen = range(len(names)) if rule.edges else kept[: rule.top]
        known = [names[code] for code in chosen]
        known += [OTHERS] if len(known) < len(names) else []
        known += [MISSING] if bool((codes < 0).any()) else []
    place = {name: code for code, name in enumerate(names)}
    alone = np.isin(codes, [place[name] for name in known if name in place])
    special = {OTHERS: (codes >= 0) & ~alone, MISSING: codes < 0}
    nothing = np.zeros(len(codes), dtype=bool)
    return {
        name: special[name] if name in special else codes == place[name] if name in place else nothing
        for name in known
    }


def _coded(rule: Grouping, column: Any) -> tuple[Any, list[str]]:
    np = load("numpy", extra=_EXTRA)
    if not rule.edges:
        coded: CodedColumn = as_coded(column)
        return np.asarray(coded.codes), list(coded.values)
    numbers = as_numbers(rule.column, column)
    codes = np.where(np.isnan(numbers), -1, np.searchsorted(rule.edges, numbers, side="right"))
    middle = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(rule.edges)]
    return codes, [f"below {rule.edges[0]:g}", *middle, f"{rule.edges[-1]:g} and more"]


def gather(
    rules: Sequence[Grouping],
    columns: Mapping[str, Any],
    evidence_of: Callable[[Grouping, Any], Mapping[str, Evidence]],
    *,
    before: Sequence[Group] | None,
    looks: int,
) -> list[Group]:
    """The evidence of every group, added to what earlier looks brought.

    :param evidence_of: evidence of the rows of a mask; by class, or under no name.
    :param before: groups of the look before; ``None`` at the first.
    :param looks: how many looks are planned.
    """
    found = []
    for number, rule in enumerate(rules):
        earlier = {(one.value, one.of): one for one in before or () if one.number == number}
        known = list(dict.fromkeys(value for value, _ in earlier)) if before is not None else None
        for value, mask in groups_of(rule, columns[rule.column], known).items():
            for name, new in evidence_of(rule, mask).items():
                old = earlier.get((value, name))
                reach = old.reach if old else max(new.n, 1) * looks / 2
                found.append(Group(number, value, new + old.evidence if old else new, reach, name))
    return found


def slice_evidence(challenger: Any, opponent: Any) -> Callable[[Grouping, Any], Mapping[str, Evidence]]:
    """Evidence that the challenger loses more than the margin allows: ``loss - (1 + margin) * opponent's``."""

    def found(rule: Grouping, mask: Any) -> dict[str, Evidence]:
        margin = rule.margin if isinstance(rule, Slice) else 0.0
        return {"": Evidence.of(challenger[mask] - (1 + margin) * opponent[mask])}

    return found


def judge_slices(
    rules: Sequence[Slice], groups: Sequence[Group], *, error: float, sequence: bool
) -> list[Finding]:
    """Non-inferiority on every slice, at the margin of its rule.

    The intervals hold together: ``error`` is divided by their number (Bonferroni; O. J. Dunn, "Multiple comparisons
    among means", Journal of the American Statistical Association 56 (1961) 52-64).

    :param error: of one end, over all slices together.
    :param sequence: whether they are looked at repeatedly.
    """
    share = error / max(len(groups), 1)
    return [_slice_finding(rules[one.number], one, share, sequence=sequence) for one in groups]


def _slice_finding(rule: Slice, group: Group, error: float, *, sequence: bool) -> Finding:
    name, sums = f"{rule.column}={group.value}", group.evidence
    if sums.n < rule.min_rows:
        return too_small("slice", rule, name, sums.n)
    found = (
        confidence_sequence(sums, error=error, horizon=group.reach)
        if sequence
        else mean_interval(sums.n, sums.total, sums.squares, level=1 - 2 * error)
    )
    verdict: Verdict = "pass" if found.high <= 0 else "fail" if found.low > 0 else "unknown"
    said = {"pass": "surely no worse", "fail": "surely worse", "unknown": "cannot be told"}[verdict]
    times = f"{1 + rule.margin:g} times " if rule.margin else ""
    shown = f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}] on {sums.n} rows"
    return Finding(
        "slice", name, verdict, f"{name}: loss less {times}the opponent's {shown}: {said}", sums.n, found
    )


def too_small(kind: Literal["slice", "fairness"], rule: Grouping, name: str, n: int) -> Finding:
    """Say that a group has too few rows."""
    reason = f"{name}: {n} rows, fewer than {rule.min_rows}, too few to say"
    return Finding(kind, name, "unknown", reason, n, holds=rule.small == "hold")
