"""Predictions made elsewhere from a file."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


def row(n, **more):
    return {
        "prediction_id": f"p{n}", "predicted_at": "2026-03-01T10:00:00Z", "model_version": 1, "score": 0.5,
    } | more  # fmt: skip


@pytest.mark.parametrize("as_list", [False, True], ids=["lines", "list"])
def test_a_file_is_taken_once(terminal, filled_dsn, tmp_path, as_list):
    rows = [row(n) for n in range(3)]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(rows) if as_list else "\n".join(map(json.dumps, rows)) + "\n")
    code, out, _ = terminal("model", "log-predictions", "ride_demand", str(path))
    assert (code, out) == (
        0,
        "3 predictions of ride_demand stored, 0 were known; ride_demand_online is at ride_demand_online@1.\n",
    )
    _, out, _ = terminal("model", "log-predictions", "ride_demand", str(path), "--json")
    assert json.loads(out) == {
        "dataset": "ride_demand_online", "version": "ride_demand_online@1", "stored": 0, "known": 3,
    }  # fmt: skip


def test_a_file_with_a_fault_leaves_nothing(terminal, filled_dsn, tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([row(1), row(2, score=None)]))
    code, _, err = terminal("model", "log-predictions", "ride_demand", str(path))
    assert code != 0
    assert "prediction 1, score" in err
    path.write_text("{")
    code, _, err = terminal("model", "log-predictions", "ride_demand", str(path))
    assert code != 0
    assert "cannot be read as JSON" in err
