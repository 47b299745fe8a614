"""Slices and fairness groups: a challenger that is better on the whole must not be worse for some."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_coded, as_numbers
from airflow_dataml.core.metric_gates import Finding
from airflow_dataml.core.metrics import wilson
from airflow_dataml.core.sequential import Evidence, confidence_sequence
from airflow_dataml.core.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.metric_gates import Scored, Verdict

_EXTRA = "monitoring"
OTHERS = "(others)"
MISSING = "(missing)"
Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"]


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


class Fairness(Grouping):
    """Groups of rows between which a rate of the challenger may differ by no more than a limit.

    :param rate: ``selection_rate`` compares how often a row is positive to the model (demographic parity);
        ``true_positive_rate`` (equal opportunity), ``false_positive_rate`` and ``accuracy`` look at the truth too.
    :param max_difference: between any two groups.
    :param threshold: score from which on a row counts as positive.
    """

    rate: Rate = "selection_rate"
    max_difference: float = Field(0.1, gt=0, lt=1)
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Group:
    """One group's evidence over all looks.

    :param number: position of its rule in the policy.
    :param reach: rows at which its interval is to be narrowest, fixed at the first look.
    """

    number: int
    value: str
    evidence: Evidence
    reach: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "number": self.number,
            "value": self.value,
            "evidence": self.evidence.to_dict(),
            "reach": self.reach,
        }


def read_groups(items: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Read what ``Group.to_dict`` wrote."""
    return [
        Group(one["number"], one["value"], Evidence.from_dict(one["evidence"]), one["reach"]) for one in items
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
    evidence_of: Callable[[Grouping, Any], Evidence],
    *,
    before: Sequence[Group] | None,
    looks: int,
) -> list[Group]:
    """The evidence of every group, added to what earlier looks brought.

    :param evidence_of: evidence of the rows of a mask.
    :param before: groups of the look before; ``None`` at the first.
    :param looks: how many looks are planned.
    """
    found = []
    for number, rule in enumerate(rules):
        earlier = {one.value: one for one in before or () if one.number == number}
        masks = groups_of(rule, columns[rule.column], list(earlier) if before is not None else None)
        for value, mask in masks.items():
            new, old = evidence_of(rule, mask), earlier.get(value)
            reach = old.reach if old else max(new.n, 1) * looks / 2
            found.append(Group(number, value, new + old.evidence if old else new, reach))
    return found


def slice_evidence(challenger: Any, opponent: Any) -> Callable[[Grouping, Any], Evidence]:
    """Evidence that the challenger loses more than the margin allows: ``loss - (1 + margin) * opponent's``."""

    def found(rule: Grouping, mask: Any) -> Evidence:
        margin = rule.margin if isinstance(rule, Slice) else 0.0
        return Evidence.of(challenger[mask] - (1 + margin) * opponent[mask])

    return found


def rate_evidence(rows: Scored) -> Callable[[Grouping, Any], Evidence]:
    """Evidence on a rate: the rows it is a share of, and how many of them count."""
    if rows.kind != "binary":
        msg = f"fairness rates need labels that are 0 or 1, and this is a {rows.kind} model: use slices, which compare losses."
        raise PolicyError(msg)

    def found(rule: Grouping, mask: Any) -> Evidence:
        rate, threshold = (
            (rule.rate, rule.threshold) if isinstance(rule, Fairness) else ("selection_rate", 0.5)
        )
        positive, truth = rows.challenger >= threshold, rows.labels > 0
        counted = {"true_positive_rate": mask & truth, "false_positive_rate": mask & ~truth}.get(rate, mask)
        said = positive == truth if rate == "accuracy" else positive
        return Evidence.of(said[counted])

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
        return _too_small("slice", rule, name, sums.n)
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


def _too_small(kind: Literal["slice", "fairness"], rule: Grouping, name: str, n: int) -> Finding:
    reason = f"{name}: {n} rows, fewer than {rule.min_rows}, too few to say"
    return Finding(kind, name, "unknown", reason, n, holds=rule.small == "hold")


def judge_fairness(rules: Sequence[Fairness], groups: Sequence[Group], *, error: float) -> list[Finding]:
    """The difference of a rate between any two groups, each with Newcombe's interval; all of them hold together.

    Method 10 of R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics
    in Medicine 17 (1998) 873-890, at ``error`` divided by the number of pairs (Bonferroni, as for slices).

    :param error: of both ends of an interval, over all pairs together.
    """
    found: list[Finding] = []
    pairs: list[tuple[Fairness, str, Group, Group]] = []
    for number, rule in enumerate(rules):
        mine = [one for one in groups if one.number == number]
        name = f"{rule.rate} by {rule.column}"
        small = [one for one in mine if one.evidence.n < rule.min_rows]
        found += [_too_small("fairness", rule, f"{name}, {one.value}", one.evidence.n) for one in small]
        enough = [one for one in mine if one not in small]
        pairs += [(rule, name, *pair) for pair in itertools.combinations(enough, 2)]
        if len(enough) < 2:
            reason = f"{name}: {len(enough)} group with {rule.min_rows} rows, a difference needs two"
            found.append(Finding("fairness", name, "unknown", reason, 0))
    level = 1 - error / max(len(pairs), 1)
    return found + [_pair_finding(rule, name, one, other, level) for rule, name, one, other in pairs]


def _pair_finding(rule: Fairness, name: str, one: Group, other: Group, level: float) -> Finding:
    found = difference_of_shares(one.evidence, other.evidence, level=level)
    limit = rule.max_difference
    outside = found.low > limit or found.high < -limit
    within = found.low >= -limit and found.high <= limit
    verdict: Verdict = "pass" if within else "fail" if outside else "unknown"
    said = {"pass": "surely within", "fail": "surely beyond", "unknown": "cannot be told from"}[verdict]
    shown = f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    reason = f"{name}: {one.value} less {other.value} {shown}: {said} {limit:g}"
    return Finding("fairness", f"{name}, {one.value}/{other.value}", verdict, reason, found.n, found)


def difference_of_shares(one: Evidence, other: Evidence, *, level: float) -> Interval:
    """The difference of two independent shares with Newcombe's hybrid score interval.

    The example of his table II: 56 of 70 and 48 of 80.

    >>> found = difference_of_shares(Evidence(70, 56, 56), Evidence(80, 48, 48), level=0.95)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    left, right = (wilson(side.total, side.n, level=level) for side in (one, other))
    estimate = left.estimate - right.estimate
    below = math.hypot(left.estimate - left.low, right.high - right.estimate)
    above = math.hypot(left.high - left.estimate, right.estimate - right.low)
    return Interval(estimate, estimate - below, estimate + above, level, one.n + other.n)
