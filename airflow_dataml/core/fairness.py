"""Fairness: how much a rate, or the loss, of a challenger may differ between groups of rows."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from airflow_dataml.core.classes import class_log_losses, named_few
from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.metric_gates import Finding
from airflow_dataml.core.metrics import wilson
from airflow_dataml.core.sequential import Evidence
from airflow_dataml.core.slices import Grouping, too_small
from airflow_dataml.core.statistics import Interval, log_losses, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.metric_gates import Scored, Verdict
    from airflow_dataml.core.slices import Group

Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate", "accuracy", "log_loss"]
# What is of all rows of a group, whatever their class.
_OF_ALL = ("accuracy", "log_loss")


class Fairness(Grouping):
    """Groups of rows between which a rate of the challenger, or its mean loss, may differ by no more than a limit.

    Of a model of classes, every rate but ``accuracy`` and ``log_loss`` is that of one class against all others, with
    the predicted class as what was said, and is compared for each class on its own.

    :param rate: ``selection_rate`` compares how often a row is positive to the model (demographic parity);
        ``true_positive_rate`` (equal opportunity; of a class, its recall), ``false_positive_rate``, ``accuracy`` and
        the mean ``log_loss`` look at the truth too.
    :param max_difference: between any two groups; below 1 but for ``log_loss``.
    :param threshold: score from which on a row counts as positive, where there are two classes.
    :param classes: those whose rates are compared, of a model of more than two; all that it knows unless given.
    """

    rate: Rate = "selection_rate"
    max_difference: float = Field(0.1, gt=0)
    threshold: float = 0.5
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_differ(self) -> Self:
        if self.rate != "log_loss" and self.max_difference >= 1:
            msg = f"max_difference is {self.max_difference:g}, and no two shares differ by more than 1: give less"
            raise ValueError(msg)
        if self.rate in _OF_ALL and self.classes:
            msg = f"{self.rate} is of all classes together: leave classes out, or compare true_positive_rate"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Policies written before classes could be named keep their digest.
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if key != "classes" or value}


def rate_evidence(rows: Scored) -> Callable[[Grouping, Any], Mapping[str, Evidence]]:
    """Evidence on a rate: the rows it is a share of, and how many of them count; of the loss, its sums.

    :raises PolicyError: the model has no classes, or not those that a rule names.
    """
    if rows.kind == "regression":
        msg = f"fairness rates need labels that are classes, and this is a {rows.kind} model: use slices, which compare losses."
        raise PolicyError(msg)

    def found(rule: Grouping, mask: Any) -> Mapping[str, Evidence]:
        asked = rule if isinstance(rule, Fairness) else Fairness(column=rule.column)
        if asked.rate == "log_loss":
            losses = class_log_losses if rows.kind == "multiclass" else log_losses
            return {"": Evidence.of(losses(rows.labels[mask], rows.challenger[mask]))}
        return _of_classes(rows, asked, mask) if rows.kind == "multiclass" else _of_two(rows, asked, mask)

    return found


def _of_two(rows: Scored, rule: Fairness, mask: Any) -> dict[str, Evidence]:
    if rule.classes:
        msg = f"the rule on {rule.column!r} names classes, and a binary model has a threshold: leave classes out."
        raise PolicyError(msg)
    return {"": _rate(rule.rate, rows.challenger >= rule.threshold, rows.labels > 0, mask)}


def _of_classes(rows: Scored, rule: Fairness, mask: Any) -> dict[str, Evidence]:
    said = rows.challenger.argmax(axis=1)
    if rule.rate == "accuracy":
        return {"": Evidence.of((said == rows.labels)[mask])}
    if unknown := sorted(set(rule.classes) - set(rows.classes)):
        msg = f"the rule on {rule.column!r} names {named_few(unknown)}, and the model's classes are {named_few(rows.classes)}."
        raise PolicyError(msg)
    return {
        name: _rate(rule.rate, said == place, rows.labels == place, mask)
        for place, name in enumerate(rows.classes)
        if name in (rule.classes or rows.classes)
    }


def _rate(rate: Rate, positive: Any, truth: Any, mask: Any) -> Evidence:
    counted = {"true_positive_rate": mask & truth, "false_positive_rate": mask & ~truth}.get(rate, mask)
    said = positive == truth if rate == "accuracy" else positive
    return Evidence.of(said[counted])


def judge_fairness(rules: Sequence[Fairness], groups: Sequence[Group], *, error: float) -> list[Finding]:
    """The difference of a rate between any two groups, each with its interval; all of them hold together.

    Of shares, method 10 of R. G. Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17 (1998) 873-890; of losses, the same way of putting two intervals together, with those of
    their means (G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702). Each is taken at ``error``
    divided by the number of pairs (Bonferroni, as for slices).

    :param error: of both ends of an interval, over all pairs together.
    """
    found: list[Finding] = []
    pairs: list[tuple[Fairness, str, Group, Group]] = []
    for number, rule in enumerate(rules):
        own = [one for one in groups if one.number == number]
        for told in dict.fromkeys([one.of for one in own] or [""]):
            mine = [one for one in own if one.of == told]
            name = f"{rule.rate} of {told!r} by {rule.column}" if told else f"{rule.rate} by {rule.column}"
            small = [one for one in mine if one.evidence.n < rule.min_rows]
            found += [too_small("fairness", rule, f"{name}, {one.value}", one.evidence.n) for one in small]
            enough = [one for one in mine if one not in small]
            pairs += [(rule, name, *pair) for pair in itertools.combinations(enough, 2)]
            if len(enough) < 2:
                reason = f"{name}: {len(enough)} group with {rule.min_rows} rows, a difference needs two"
                found.append(Finding("fairness", name, "unknown", reason, 0))
    level = 1 - error / max(len(pairs), 1)
    return found + [_pair_finding(rule, name, one, other, level) for rule, name, one, other in pairs]


def _pair_finding(rule: Fairness, name: str, one: Group, other: Group, level: float) -> Finding:
    compare = difference_of_means if rule.rate == "log_loss" else difference_of_shares
    found = compare(one.evidence, other.evidence, level=level)
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
    return _difference(left, right)


def difference_of_means(one: Evidence, other: Evidence, *, level: float) -> Interval:
    """The difference of two independent means, with a normal interval.

    >>> found = difference_of_means(Evidence(100, 50, 50), Evidence(100, 50, 50), level=0.95)
    >>> found.estimate, round(found.high, 3)
    (0.0, 0.139)
    """
    left, right = (mean_interval(side.n, side.total, side.squares, level=level) for side in (one, other))
    return _difference(left, right)


def _difference(left: Interval, right: Interval) -> Interval:
    estimate = left.estimate - right.estimate
    below = math.hypot(left.estimate - left.low, right.high - right.estimate)
    above = math.hypot(left.high - left.estimate, right.estimate - right.low)
    return Interval(estimate, estimate - below, estimate + above, left.level, left.n + right.n)
