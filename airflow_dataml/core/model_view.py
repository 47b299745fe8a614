"""What reports on models say, in one form whatever release wrote them: evaluations and monitored windows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, as far as it is known."""

    estimate: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """How one of two models did."""

    who: str
    loss: Estimate | None
    auc: float | None


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """A challenger against what it is measured against.

    :param margin: by how much the loss must surely be lower.
    """

    summary: str | None
    metric: str | None
    challenger: Side | None
    opponent: Side | None
    difference: Estimate | None
    rows: int | None
    champion: str | None
    dataset: str | None
    cut: str | None
    margin: float | None
    min_rows: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ShiftView:
    """How far one column moved in one window."""

    column: str
    test: str
    psi: float | None
    p_value: float | None
    drifted: bool
    rows: int | None


@dataclass(frozen=True, slots=True)
class WindowView:
    """One scored batch against the data its model was trained on.

    :param reference: the dataset version the model was trained on.
    :param tolerance: PSI that is borne.
    :param released: mean loss on the holdout at release.
    :param limit: mean loss above which the model counts as decayed.
    :param blind: inputs whose histograms cannot tell a shift.
    """

    summary: str | None
    partition_key: str | None
    model: str | None
    predictions: str | None
    features: str | None
    reference: str | None
    rows: int | None
    tolerance: float | None
    inputs: tuple[ShiftView, ...]
    prediction: tuple[ShiftView, ...]
    released: float | None
    now: Estimate | None
    limit: float | None
    findings: dict[str, list[str]]
    feed_broken: tuple[str, ...]
    blind: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def evaluation_view(body: Mapping[str, Any]) -> EvaluationView:
    """Read the body of an evaluation report; what it does not hold is ``None``.

    >>> evaluation_view({"difference": {"estimate": -0.1}}).difference.estimate
    -0.1
    """
    policy = _object(body.get("policy"))
    return EvaluationView(
        summary=_text(body.get("summary")),
        metric=_text(body.get("metric")),
        challenger=_side(body.get("challenger"), _text(body.get("challenger_ref"))),
        opponent=_side(body.get("opponent"), _text(body.get("champion_ref"))),
        difference=_estimate(body.get("difference")),
        rows=_whole(body.get("rows")),
        champion=_text(body.get("champion_ref")),
        dataset=_text(body.get("dataset")),
        cut=_text(body.get("cut")),
        margin=_number(policy.get("margin")),
        min_rows=_whole(policy.get("min_rows")),
    )


def window_view(body: Mapping[str, Any]) -> WindowView:
    """Read the body of a monitor report; what it does not hold is ``None`` or empty.

    >>> window_view({"inputs": [{"column": "km", "test": "values", "psi": 0.2, "drifted": True}]}).inputs[0].psi
    0.2
    """
    policy, performance = _object(body.get("policy")), _object(body.get("performance"))
    released, borne = _number(performance.get("released")), _number(policy.get("decay_tolerance"))
    # The release has an error of its own; reports before it was counted hold the estimate alone.
    surely = _number(performance.get("released_high", released))
    return WindowView(
        summary=_text(body.get("summary")),
        partition_key=_text(body.get("partition_key")),
        model=_text(body.get("model")),
        predictions=_text(body.get("predictions")),
        features=_text(body.get("features")),
        reference=_text(body.get("reference")),
        rows=_whole(body.get("rows")),
        tolerance=_number(policy.get("tolerance")),
        inputs=_shifts(body.get("inputs")),
        prediction=_shifts(body.get("prediction")),
        released=released,
        now=_estimate(performance.get("now")),
        limit=None if surely is None or borne is None else surely * (1 + borne),
        findings={kind: _texts(texts) for kind, texts in _object(body.get("findings")).items()},
        feed_broken=tuple(_texts(body.get("feed_broken"))),
        blind=tuple(_texts(body.get("blind"))),
    )


def _side(value: Any, ref: str | None) -> Side | None:
    side = _object(value)
    if not side:
        return None
    return Side(_text(side.get("who")) or ref or "?", _estimate(side.get("loss")), _number(side.get("auc")))


def _estimate(value: Any) -> Estimate | None:
    found = _object(value)
    estimate = _number(found.get("estimate"))
    if estimate is None:
        return None
    low, high, level = (_number(found.get(name)) for name in ("low", "high", "level"))
    return Estimate(estimate, low, high, level, _whole(found.get("n")))


def _shifts(value: Any) -> tuple[ShiftView, ...]:
    items = [_object(item) for item in value] if isinstance(value, list | tuple) else []
    return tuple(
        ShiftView(
            column=str(item["column"]),
            test=_text(item.get("test")) or "values",
            psi=_number(item.get("psi")),
            p_value=_number(item.get("p_value")),
            drifted=item.get("drifted") is True,
            rows=_whole(item.get("n_current")),
        )
        for item in items
        if item.get("column")
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> list[str]:
    items: Sequence[Any] = value if isinstance(value, list | tuple) else ()
    return [str(item) for item in items]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
