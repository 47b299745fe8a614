"""What a monitor says of a model beside drift, and what was looked for since: evidence, estimates, slices, blame, impact, reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.approvals import ApprovalPolicy
from airflow_dataml.core.monitor_evidence import taken_up
from airflow_dataml.core.monitor_policy import MonitorPolicy
from airflow_dataml.steps.approve import request_approval
from airflow_dataml.steps.approved import release_of_model
from tests.support import identity

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.runs import TaskRun

_POLICY = MonitorPolicy(alarm_budget=90)
_MOVED = ("km", "traffic_index", "dropoff_zone")
_GROUPS = [("weekday", day) for day in ("Mon", "Sat", "Sun")] + [
    ("pickup_zone", zone) for zone in ("north", "harbour")
]


def evidence(
    features: Sequence[str], number: int, moved: int, key: str, before: Report | None, draw: random.Random
) -> dict[str, Any]:
    """The state over time after one more window; what moved says so from window ``moved`` on."""
    found = {name: draw.gauss(-1.2, 0.8) for name in features}
    if number >= moved:
        found |= {name: 1.4 + at * 0.5 + draw.gauss(0, 0.3) for at, name in enumerate(_MOVED)}
    state = taken_up(
        before.body["over_time"] if before else None,
        report=before.report_id if before else None, batch=key, found=found, policy=_POLICY,
    )  # fmt: skip
    return {"over_time": state | {"told": "told"}}


def beside(number: int, decayed: int, draw: random.Random, earlier: Sequence[str]) -> dict[str, Any]:
    """What else the body of a window holds; ``earlier`` are the batches before, newest first."""
    expected = 0.53 + draw.gauss(0, 0.01)
    worse = number >= decayed
    return {
        "estimated": {
            "log_loss": _wide(expected, 0.025) | {"released": 0.52}, "roc_auc": _wide(0.83, 0.01) | {"released": 0.834},
            "accuracy": _wide(0.78, 0.02) | {"released": 0.785}, "released": 0.52, "n": 5100,
        },
        "labels": [
            {"partition_key": key, "scored": 5100, "labelled": 5060 - 20 * at, "label_share": 0.99, "judged": False,
             "loss": _wide(0.53 + (0.22 if worse else 0.0), 0.03) | {"level": 0.99, "n": 5060}}
            for at, key in enumerate(earlier)
        ],
        "metrics": [
            _metric("sure alarms", 0.12 + draw.gauss(0, 0.01) + (0.1 if worse else 0.0), None, 0.2),
            _metric("revenue at risk", 1.8e6 + draw.gauss(0, 9e4), 1.5e6, 2.1e6),
        ],
        "attribution": {
            "share_shift": 0.05 + 0.01 * draw.random() + (0.2 if worse else 0.0), "rank_correlation": 0.81, "against": 1, "predictions": 40,
            "shares": [{"feature": "traffic_index", "change": 0.16}, {"feature": "km", "change": -0.12}, {"feature": "hour", "change": -0.04}],
        },
        "slices": _slices(draw, worse=worse),
        "warnings": ["km values moved: PSI 0.310 (borne 0.1)"] if worse else [],
    }  # fmt: skip


def _wide(value: float, half: float) -> dict[str, float]:
    return {"estimate": value, "low": value - half, "high": value + half}


def _metric(name: str, value: float, low: float | None, high: float) -> dict[str, Any]:
    verdict = "fail" if value > high or (low is not None and value < low) else "pass"
    return {
        "name": name,
        "value": value,
        "verdict": verdict,
        "low": low,
        "high": high,
        "history": 0 if low is None else 20,
    }


def _slices(draw: random.Random, *, worse: bool) -> dict[str, Any]:
    groups = [
        {"column": c, "value": v, "rows": 900, "reference_rows": 40_000, "tested": v != "Sun"}
        for c, v in _GROUPS
    ]
    shifts = [
        {"column": name, "test": "values", "psi": 0.12 + draw.random() * 0.4, "p_value": 1e-9, "n_reference": 40_000,
         "n_current": 900, "drifted": True, "where": f"{column} is {value}"}
        for column, value in _GROUPS[:4] for name in _MOVED if draw.random() < 0.7
    ]  # fmt: skip
    performance = [
        {"column": c, "value": v, "rows": 900, "total": 480.0, "squares": 300.0,
         "verdict": "fail" if worse and v == "harbour" else "pass", "before": _wide(0.52, 0.02),
         "loss": _wide(0.9 if worse and v == "harbour" else 0.53 + draw.gauss(0, 0.02), 0.05)}
        for c, v in _GROUPS
    ]  # fmt: skip
    return {
        "groups": groups,
        "tests": 60,
        "moved": len(shifts),
        "shifts": shifts if worse else [],
        "performance": performance,
    }


def blame(ledger: PostgresLedger, run: TaskRun, model: str, champion: Version, incident: int) -> None:
    """Rank who may have caused an incident: one is confirmed, one ruled out, one could not be scored again."""
    suspects = [
        _suspect("rides@11", "rewritten batch", 0.81, 0.7, 0.93, signs=["values of km moved: PSI 0.42, at most 0.03 before"]),
        _suspect("zones@4", "new content", None, 0, 0, why_not="its rows are not kept any more"),
        _suspect("rides@12", "new batch", 0.02, -0.05, 0.09, signs=["missing rate of kind moved: PSI 0.13, at most 0.02 before"]),
    ]  # fmt: skip
    body = {
        "incident": incident, "monitor": 1, "model": champion.ref, "features": "rides@12", "partition_key": "2026-05-06",
        "reference": "batch 2026-05-05 of rides@11", "outcome": "confirmed", "cause": "rides@11", "suspects": suspects,
        "policy": {"share": 0.3, "confidence": 0.95}, "note": None,
        "summary": "rides@11 (rewritten batch) explains 81% [70%, 93%] of the loss: values of km moved: PSI 0.42, at most 0.03 before",
    }  # fmt: skip
    ledger.reports.add(
        run=run, fact=run.fact(model), kind="blame", verdict="fail", body=body, version_id=champion.version_id
    )
    ledger.incidents.suspect(incident, [{"version": "rides@11", "confirmed": True}])


def _suspect(
    version: str, change: str, share: float | None, low: float, high: float, *,
    signs: Sequence[str] = (), why_not: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    replay = {
        "how": "earlier rows", "what": f"{version} made again without the change", "measure": "loss", "share": share, "low": low,
        "high": high, "before": 0.52, "now": 0.76, "reverted": 0.76 - 0.24 * (share or 0), "rows": 5000,
    }  # fmt: skip
    return {
        "asset": version.partition("@")[0], "version": version, "change": change, "confirmed": low >= 0.3, "tested": why_not is None,
        "replay": replay if share is not None else None, "why_not": why_not, "signs": [{"text": text} for text in signs],
        "columns": ["km", "traffic_index"], "depth": 1, "batch": "2026-05-06", "at": "2026-05-06T04:00:00+00:00",
    }  # fmt: skip


def impact_and_reach(
    ledger: PostgresLedger, run: Mapping[str, TaskRun], source: Version, champion: Version
) -> None:
    """What a dropped column would do, and where a customer's rows went."""
    models = [
        _affected(champion.ref, ["champion"], 0.52, (0.081, 0.06, 0.1), "fail"),
        _affected("ride_demand@1", ["champion"], 0.31, (0.002, -0.004, 0.008), "warn"),
        _affected("ride_price@4", ["challenger"], None, None, "unknown"),
    ]
    proposed = [{"column": "km", "what": "km double precision is gone"}]
    summary = f"km double precision is gone: {champion.ref} without km: loss 0.5200 +0.0810 [+0.0600, +0.1000] (+15.6%)"
    ledger.reports.add(
        run=run["impact"], fact=run["impact"].fact("rides"), kind="impact", verdict="fail", version_id=source.version_id,
        body={"dataset": "rides", "proposed": proposed, "harmless": ["tip double precision is new"], "reached": ["ride_scores"],
              "models": models, "policy": {"tolerance": 0.01, "confidence": 0.95, "max_rows": 20_000}, "summary": summary},
    )  # fmt: skip
    found = [
        {"asset": "rides", "kind": "dataset", "versions": [3, 4, 5, 6, 9], "via": "rows", "rows": 7, "in_use": ["current"]},
        {"asset": "ride_scores", "kind": "prediction", "versions": [1], "via": "lineage", "rows": None, "in_use": []},
        {"asset": champion.asset, "kind": "model", "versions": [1, champion.number], "via": "learnt", "rows": 5, "in_use": ["champion"]},
    ]  # fmt: skip
    ledger.reports.add(
        run=run["reach"], fact=run["reach"].fact("rides"), kind="reach", verdict="fail", version_id=source.version_id,
        body={"dataset": "rides", "key_columns": ["email"], "searched": 7, "found": found, "blind": ["zones@1: its rows are not kept"],
              "aside": ["2 rows set aside of batch 2026-03-05"], "action": "waive", "because": "kept by law until 2030", "request": "T-4711",
              "summary": "7 rows of rides reached 1 dataset, 1 prediction, 1 model; 1 model in use"},
    )  # fmt: skip


def _affected(
    version: str,
    in_use: list[str],
    loss: float | None,
    growth: tuple[float, float, float] | None,
    verdict: str,
) -> dict[str, Any]:
    told = dict(zip(("estimate", "low", "high"), growth, strict=True)) if growth else None
    return {
        "version": version, "in_use": in_use, "loss": loss, "growth": told, "method": "replayed" if growth else None, "decided": False,
        "unseen": growth is None, "verdict": verdict, "said": version,
        "features": [{"feature": "km", "columns": ["km"], "share": 0.21}] if growth else [],
    }  # fmt: skip


def ask(ledger: PostgresLedger, now: Version, instead: Version) -> None:
    """Wait for somebody to approve a promotion."""
    policy = ApprovalPolicy(approvers=("ann", "bob"), expires_after=86_400.0)
    request_approval(
        ledger=ledger,
        identity=identity("approve", "scheduled__a"),
        release=release_of_model(now, instead),
        policy=policy,
    )
