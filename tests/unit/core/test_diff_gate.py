"""What a diff may show before it is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.diff_gate import DiffGate
from airflow_dataml.core.diffs import VersionDiff, VersionSide
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.schemas import diff_schemas
from airflow_dataml.core.stores import RowDiff

KM, KM_TOO = [Column("km", "real")], [Column("km", "text")]
ROWS = RowDiff(("id",), inserted=1, updated=2, deleted=1)


def diff(*, rows=ROWS, old_rows=40, new=KM, unread=None):
    sides = VersionSide("rides@1", old_rows, "a"), VersionSide("rides@2", 40, "b")
    return VersionDiff(*sides, schema=diff_schemas(KM, new), rows=rows, unread=unread)


@pytest.mark.parametrize(
    ("gate", "found", "verdict"),
    [
        pytest.param({}, diff(), Verdict.PASS, id="no rule"),
        pytest.param({}, diff(rows=None, unread="gone"), Verdict.PASS, id="no rule about rows"),
        pytest.param({"max_changed_fraction": 0.1}, diff(), Verdict.PASS, id="just as many"),
        pytest.param({"max_changed_fraction": 0.09}, diff(), Verdict.FAIL, id="one too many"),
        pytest.param({"max_changed_fraction": 0.0}, diff(rows=RowDiff((), 0, 0, 0)), Verdict.PASS, id="none"),
        pytest.param({"max_changed_fraction": 1.0}, diff(old_rows=0), Verdict.FAIL, id="of no rows"),
        pytest.param({"max_changed_fraction": 1.0}, diff(old_rows=None), Verdict.ERROR, id="of unknown rows"),
        pytest.param({"max_changed_fraction": 1.0}, diff(rows=None), Verdict.ERROR, id="not compared"),
        pytest.param({"forbid_deletes": True}, diff(), Verdict.FAIL, id="a deletion"),
        pytest.param({"forbid_deletes": True}, diff(rows=RowDiff((), 9, 0, 0)), Verdict.PASS, id="no deletion"),
        pytest.param({"forbid_deletes": True}, diff(rows=None), Verdict.ERROR, id="perhaps a deletion"),
        pytest.param({"forbid_breaking": True}, diff(new=KM_TOO), Verdict.FAIL, id="breaking"),
        pytest.param({"forbid_breaking": True}, diff(rows=None), Verdict.PASS, id="compatible"),
        pytest.param(
            {"forbid_breaking": True, "forbid_deletes": True}, diff(rows=None, new=KM_TOO), Verdict.FAIL, id="both"
        ),
    ],
)  # fmt: skip
def test_a_gate_fails_closed(gate, found, verdict):
    judged, reasons = DiffGate(**gate).judge(found)
    assert judged is verdict
    assert bool(reasons) is (verdict is not Verdict.PASS)


def test_every_reason_is_said():
    gate = DiffGate(max_changed_fraction=0.05, forbid_deletes=True, forbid_breaking=True)
    assert gate.judge(diff(new=KM_TOO))[1] == (
        "km was real and is text",
        "1 rows are deleted",
        "4 rows changed of 40, which is more than 0.05 of them",
    )
    assert gate.judge(diff(rows=None, unread="they were dropped"))[1] == (
        "rows were not compared: they were dropped",
    )


@pytest.mark.parametrize(
    "said", [{"max_changed": 1}, {"max_changed_fraction": -1}, {"max_changed_fraction": float("nan")}], ids=repr
)  # fmt: skip
def test_a_rule_nobody_knows_is_refused(said):
    with pytest.raises(ValidationError):
        DiffGate(**said)
