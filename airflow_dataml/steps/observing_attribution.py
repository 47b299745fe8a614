"""Observing attribution: whether single predictions rest on other features than when the model was explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.explanation import attribution_drift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.steps.observing import Look

# Moves of single features that one report holds.
_FEATURES = 20


def measure_attribution(look: Look) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Compare the contributions that the scoring kept with those of the champion's newest explanation.

    Both are of the most extreme scores, by occlusion; nothing where either kept none.

    :returns: what the report says, and findings.
    """
    window, reports = look.window, look.ledger.reports
    scoring = reports.latest(
        asset=window.predictions.asset, kind="scoring", version_id=window.predictions.version_id
    )
    explained = reports.latest(
        asset=window.champion.asset, kind="explanation", version_id=window.champion.version_id
    )
    now = contributions(scoring.body.get("predictions_explained") or () if scoring else ())
    before = contributions(explained.body.get("predictions") or () if explained else ())
    if not now or not before or scoring is None or explained is None:
        return {}, {}
    drift = attribution_drift(before, now)
    told = drift.to_dict()
    told["shares"] = told["shares"][:_FEATURES]
    body = told | {
        "against": explained.report_id,
        "scoring": scoring.report_id,
        "predictions": len(scoring.body["predictions_explained"]),
    }
    borne = look.policy.attribution_tolerance
    if borne is None or drift.share_shift <= borne:
        return body, {}
    leading = ", ".join(f"{name} {change:+.0%}" for name, change in drift.shares[:3])
    text = f"{drift.share_shift:.0%} of the attribution moved between features ({leading}; borne {borne:.0%})"
    return body, {"attribution_drift": [text]}


def contributions(predictions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each feature's share of the contributions to some predictions, whatever their sign.

    >>> one = {"features": [{"feature": "km", "contribution": -0.3}, {"feature": "day", "contribution": 0.1}]}
    >>> [(item["feature"], round(item["share"], 2)) for item in contributions([one])]
    [('km', 0.75), ('day', 0.25)]
    """
    sums: dict[str, float] = {}
    for one in predictions:
        for item in one["features"]:
            sums[item["feature"]] = sums.get(item["feature"], 0.0) + abs(float(item["contribution"]))
    total = sum(sums.values())
    return [
        {"feature": name, "share": value / total, "importance": {"estimate": value / len(predictions)}}
        for name, value in sums.items()
        if total > 0
    ]
