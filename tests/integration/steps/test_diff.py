"""Diffs of versions in a real ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import AssetNotFoundError, SpecError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.retention import RetentionPolicy
from airflow_dataml.steps.branches import create_branch
from airflow_dataml.steps.diff import diff_versions
from airflow_dataml.steps.retain import collect
from tests.integration.steps.rides import COLUMNS, Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.diffs import VersionDiff

KEYED = Layout(keys=("id",))


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    made = Rides(ledger, layout=KEYED)
    ledger.assets.set_location("rides", KEYED.to_location())
    return made


def diff(rides: Rides, old: str, new: str, **said: object) -> VersionDiff:
    return diff_versions(ledger=rides.ledger, store=rides.ledger.store, old=old, new=new, **said)  # type: ignore[arg-type]


def many(first: int, last: int, km: float = 1.0) -> list[tuple[int, str, float]]:
    return [(n, "bike", km + n % 7) for n in range(first, last)]


def test_a_merge_reads_what_it_wrote_anew_alone(rides: Rides) -> None:
    for start in range(0, 100, 10):
        rides.write(many(start, start + 10))
    rides.write([(5, "tram", 5.0), (100, "car", 1.0)], mode="merge", keys=["id"])
    found = diff(rides, "rides@10", "rides")
    assert found.rows is not None
    assert (found.rows.inserted, found.rows.updated, found.rows.deleted) == (1, 1, 0)
    # The rewritten part, its successor and the batch.
    assert (len(found.rows.read_parts), found.rows.shared_parts) == (3, 9)
    assert found.rows.keys == ("id",)


def test_shared_parts_need_not_even_be_there(rides: Rides) -> None:
    rides.write(many(0, 10))
    rides.write(many(10, 20))
    rides.write([(15, "tram", 5.0)], mode="merge", keys=["id"])
    shared = rides.ledger.versions.manifest(rides.ledger.versions.find("rides@1").version_id)[0]
    db = rides.ledger.connection
    with db.raw.transaction(force_rollback=True):
        db.execute(f"ALTER TABLE {shared.relation.quoted} RENAME TO elsewhere")
        found = diff(rides, "rides@2", "rides@3")
    assert found.rows is not None
    assert (found.rows.updated, found.rows.shared_parts) == (1, 1)


def test_of_equal_fingerprints_nothing_is_read(rides: Rides) -> None:
    rides.write(many(0, 10))
    rides.write(list(reversed(many(0, 10))), mode="replace")
    db = rides.ledger.connection
    with db.raw.transaction(force_rollback=True):
        for part in rides.ledger.connection.rows("SELECT locator FROM dataml.part"):
            db.execute(f"ALTER TABLE {part['locator']} RENAME TO gone_{part['locator'][-16:]}")
        found = diff(rides, "rides@1", "rides@2")
    assert found.same
    assert found.rows is not None
    assert found.rows.read_parts == ()


def test_schema_rows_and_distributions_of_an_evolved_dataset(rides: Rides) -> None:
    rides.write(many(0, 1000))
    wider = [*COLUMNS, Column("note", "text")]
    rides.write([(n, "bus", 20.0, "x") for n in range(1000, 1500)], columns=wider)
    found = diff(rides, "rides@1", "rides@2")
    assert [c.sentence for c in found.schema.changes] == ["note text is new"]
    assert found.rows is not None
    assert (found.rows.inserted, found.rows.updated) == (500, 0)
    by_name = {c.column: c for c in found.columns}
    assert by_name["note"].old is None
    # Rows from before the column came are null in it.
    assert by_name["note"].new is not None
    assert by_name["note"].new.nulls == 1000
    assert by_name["km"].old is not None
    assert by_name["km"].new is not None
    assert (by_name["km"].old.max, by_name["km"].new.max) == (7.0, 20.0)
    assert (by_name["km"].psi or 0) > 0.1
    assert (by_name["kind"].psi or 0) > 0.1


def test_a_breaking_replacement_is_compared_by_what_is_left(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0), (2, "bike", 2.0)])
    retyped = [Column("id", "text"), Column("km", "numeric")]
    rides.write([("1", 1.5), ("3", 2.0)], columns=retyped, mode="replace", allow_breaking=True)
    found = diff(rides, "rides@1", "rides@2")
    assert found.rows is not None
    assert (found.rows.inserted, found.rows.updated, found.rows.deleted) == (1, 1, 1)
    assert found.schema.change == "breaking"
    assert found.rows.samples["updated"] == [[{"id": "1", "km": "1"}, {"id": "1", "km": "1.5"}]]


def test_without_a_common_column_only_schemas_are_compared(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    other = Rides(rides.ledger, "others")
    other.write([(1,)], columns=[Column("x", "integer")])
    found = diff(rides, "rides", "others")
    assert (found.rows, found.unread) == (None, "the two have no column in common")


def test_keys_may_be_others_or_none(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0), (2, "bus", 2.0)])
    rides.write([(7, "bike", 1.0), (2, "bus", 3.0)], mode="replace")
    by_kind, loose = (
        diff(rides, "rides@1", "rides@2", keys=["kind"]),
        diff(rides, "rides@1", "rides@2", keys=()),
    )
    assert by_kind.rows is not None
    assert {c.column: c.changed for c in by_kind.rows.columns} == {"id": 1, "km": 1}
    assert loose.rows is not None
    assert (loose.rows.inserted, loose.rows.deleted) == (2, 2)


@pytest.mark.parametrize("said", [{"keys": ["idd"]}, {"mask": ["idd"]}], ids=["key", "mask"])
def test_a_column_nobody_has_is_refused(rides: Rides, said: dict[str, list[str]]) -> None:
    rides.write([(1, "bike", 1.0)])
    with pytest.raises(SpecError, match=r"'idd' does not exist\. Did you mean 'id'"):
        diff(rides, "rides", "rides", **said)


def test_masked_columns_are_not_shown(rides: Rides) -> None:
    rides.write([(1, "secret", 1.0)])
    rides.write([(1, "hidden", 1.0)], mode="merge", keys=["id"])
    found = diff(rides, "rides@1", "rides@2", mask=["kind"])
    assert found.rows is not None
    assert found.rows.samples["updated"][0][0]["kind"] == "***"
    assert "secret" not in str(found.to_dict())


def test_collected_rows_leave_schema_and_distributions(rides: Rides) -> None:
    rides.write(many(0, 10))
    rides.write(many(0, 5, km=9.0), mode="replace")
    collect(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("collect"),
        asset="rides",
        policy=RetentionPolicy(keep_last=1),
    )
    found = diff(rides, "rides@1", "rides@2")
    assert found.rows is None
    assert "rides@1 is known, and its rows were dropped" in str(found.unread)
    assert [c.column for c in found.columns if c.moved] == ["id", "kind", "km"]


def test_a_column_no_profile_tells_of_is_neither_new_nor_in_the_way_of_others(rides: Rides) -> None:
    rides.write(many(0, 10))
    rides.write(many(10, 30))
    [first] = rides.ledger.versions.manifest(rides.ledger.versions.find("rides@1").version_id)
    known = {name: column for name, column in first.profile["columns"].items() if name != "km"}
    rides.ledger.versions.set_profile(first.part_id, first.profile | {"columns": known})
    found = diff(rides, "rides@1", "rides@2")
    assert [c.column for c in found.columns] == ["id", "kind"]


def test_a_branch_is_compared_with_what_everybody_reads(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("create"), name="dev-x")
    rides.write([(2, "bus", 2.0)], branch="dev-x")
    found = diff(rides, "rides@current", "rides", branch="dev-x")
    assert (found.old.ref, found.new.ref) == ("rides@1", "rides@2")
    assert found.rows is not None
    assert found.rows.inserted == 1


def test_unknown_versions(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    with pytest.raises(VersionNotFoundError, match="rides@9"):
        diff(rides, "rides@1", "rides@9")
    with pytest.raises(AssetNotFoundError, match="Did you mean 'rides'"):
        diff(rides, "ridez", "rides")
