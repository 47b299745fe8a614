"""The rows two manifests do not share, against a model in Python."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_dataml.adapters.postgres.comparing import compare_parts
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.fingerprints import fingerprint_relation
from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.stores import RowDiff

RIDES = (Column("id", "integer"), Column("kind", "text"), Column("km", "double precision"))


@dataclass
class Parts:
    """Makes parts of rows and compares them."""

    db: Connection
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, rows: Sequence[Sequence[Any]], columns: Sequence[Column] = RIDES) -> Part:
        number = next(self.numbers)
        relation = Relation("public", f'part {number} "of" rides')
        body = ", ".join(f"{quote_identifier(c.name)} {c.type}" for c in columns)
        self.db.execute(f"CREATE TABLE {relation.quoted} ({body})")
        for row in rows:
            marks = ", ".join(f"%s::{c.type}" for c in columns)
            self.db.execute(f"INSERT INTO {relation.quoted} VALUES ({marks})", list(row))
        return Part(number, "rides", str(relation), tuple(columns), fingerprint_relation(self.db, relation))

    def compare(
        self,
        old: Sequence[Part],
        new: Sequence[Part],
        *,
        keys: Sequence[str] = (),
        columns: Sequence[Column] = RIDES,
        samples: int = 5,
    ) -> RowDiff:
        return compare_parts(self.db, columns=columns, keys=keys, old=old, new=new, samples=samples)


@pytest.fixture
def parts(postgres_dsn: str) -> Iterator[Parts]:
    with Connection(postgres_dsn) as connection:
        yield Parts(connection)


def ride(number: int, kind: str | None, km: float | None) -> dict[str, str | None]:
    return {"id": str(number), "kind": kind, "km": None if km is None else f"{km:g}"}


def test_by_key_every_kind_of_change_is_counted_and_shown(parts: Parts) -> None:
    old = parts([(1, "bike", 1.0), (2, "bike", 2.0), (3, None, None), (10, "bus", 1.0)])
    new = parts([(1, "bike", 1.0), (2, "tram", 2.5), (3, None, 0.0), (4, "car", 4.0)])
    found = parts.compare([old], [new], keys=["id"])
    assert (found.inserted, found.updated, found.deleted, found.same) == (1, 2, 1, False)
    assert {c.column: c.changed for c in found.columns} == {"kind": 1, "km": 2}
    assert found.samples == {
        "inserted": [ride(4, "car", 4)],
        "updated": [
            [ride(2, "bike", 2), ride(2, "tram", 2.5)],
            [ride(3, None, None), ride(3, None, 0)],
        ],
        "deleted": [ride(10, "bus", 1)],
    }


def test_without_keys_rows_are_a_multiset(parts: Parts) -> None:
    old = parts([(1, "a", 1.0), (1, "a", 1.0), (2, None, None)])
    new = parts([(1, "a", 1.0), (2, None, 2.0), (2, None, 2.0)])
    found = parts.compare([old], [new])
    assert (found.inserted, found.updated, found.deleted) == (2, 0, 2)
    assert found.samples["inserted"] == [ride(2, None, 2)]
    assert sorted(row["id"] for row in found.samples["deleted"]) == ["1", "2"]


def test_a_shared_part_is_not_read(parts: Parts) -> None:
    shared, old, new = parts([(1, "a", 1.0)]), parts([(2, "b", 2.0)]), parts([(2, "c", 2.0)])
    parts.db.execute(f"DROP TABLE {shared.relation.quoted}")
    for keys, counts in (["id"], (0, 1, 0)), ([], (1, 0, 1)):
        found = parts.compare([shared, old], [shared, new], keys=keys)
        assert (found.inserted, found.updated, found.deleted) == counts
        assert (found.read_parts, found.shared_parts) == ((old.part_id, new.part_id), 1)


def test_equal_content_written_again_is_not_read(parts: Parts) -> None:
    one, again = parts([(1, "a", 1.0), (2, "b", 2.0)]), parts([(2, "b", 2.0), (1, "a", 1.0)])
    for part in (one, again):
        parts.db.execute(f"DROP TABLE {part.relation.quoted}")
    found = parts.compare([one], [again], keys=["id"])
    assert (found.same, found.read_parts, found.shared_parts) == (True, (), 1)


@pytest.mark.parametrize("keys", [["id"], []], ids=["keyed", "keyless"])
def test_of_an_append_only_samples_are_read(parts: Parts, keys: list[str]) -> None:
    first, more = parts([(1, "a", 1.0)]), parts([(n, "b", 2.0) for n in range(2, 10)])
    found = parts.compare([first], [first, more], keys=keys, samples=2)
    assert (found.inserted, len(found.samples["inserted"])) == (8, 2)
    back = parts.compare([first, more], [first], keys=keys, samples=0)
    assert (back.deleted, back.samples["deleted"]) == (8, [])


def test_a_row_that_moved_to_another_part_did_not_change(parts: Parts) -> None:
    old = [parts([(1, "a", 1.0), (2, "b", 2.0)]), parts([(3, "c", 3.0)])]
    new = [parts([(3, "c", 3.0), (1, "a", 1.0)]), parts([(2, "b", 2.5)])]
    found = parts.compare(old, new, keys=["id"])
    assert (found.inserted, found.updated, found.deleted) == (0, 1, 0)


def test_columns_are_cast_to_what_is_compared(parts: Parts) -> None:
    old = parts([(1, "x")], [Column("id", "integer"), Column("n", "varchar(5)")])
    new = parts(
        [("x", 1, 9), ("y", 2**40, 9)],
        [Column("n", "text"), Column("id", "bigint"), Column("more", "integer")],
    )
    wanted = [Column("id", "bigint"), Column("n", "text")]
    found = parts.compare([old], [new], keys=["id"], columns=wanted)
    assert (found.inserted, found.updated, found.deleted) == (1, 0, 0)


def test_a_column_a_part_lacks_is_null(parts: Parts) -> None:
    old = parts([(1,)], RIDES[:1])
    new = parts([(1, None, 2.0)])
    found = parts.compare([old], [new], keys=["id"])
    assert {c.column: c.changed for c in found.columns} == {"km": 1}


def test_all_other_columns_may_be_null(parts: Parts) -> None:
    old, new = parts([(1, None, None), (2, None, None)]), parts([(2, None, None), (3, None, None)])
    found = parts.compare([old], [new], keys=["id"])
    assert (found.inserted, found.updated, found.deleted) == (1, 0, 1)


def test_all_columns_may_be_keys(parts: Parts) -> None:
    old, new = parts([(1, "a", 1.0), (1, "b", 1.0)]), parts([(1, "a", 1.0), (2, "b", 1.0)])
    found = parts.compare([old], [new], keys=["id", "kind", "km"])
    assert (found.inserted, found.updated, found.deleted) == (1, 0, 1)
    assert found.samples["inserted"] == [ride(2, "b", 1)]


HOSTILE = ('a"b', "select", "drop table; --", "%s %(x)s {}", "ünï cødé", "é" * 31, "c0", "o", "g")


def test_hostile_names(parts: Parts) -> None:
    columns = [Column(name, "text") for name in HOSTILE]
    old = parts([["k", *"12345678"], ["l", *"12345678"]], columns)
    new = parts([["k", *"12345679"], ["'; --", *"12345678"]], columns)
    found = parts.compare([old], [new], keys=HOSTILE[:1], columns=columns)
    assert (found.inserted, found.updated, found.deleted) == (1, 1, 1)
    assert [c.column for c in found.columns] == ["g"]
    assert found.samples["inserted"][0]['a"b'] == "'; --"
    assert parts.compare([old], [new], columns=columns).inserted == 2


VALUES = [
    ("smallint", "1", "2"), ("bigint", "1", "4294967297"), ("numeric(10,2)", "1.10", "1.11"), ("real", "NaN", "1"),
    ("boolean", "true", "false"), ("character(3)", "a", "b"), ("bytea", r"\x00", r"\x0000"),
    ("uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"),
    ("date", "2026-01-01", "infinity"), ("timestamp with time zone", "2026-01-01 00:00+00", "2026-01-01 00:00+01"),
    ("timestamp without time zone", "-infinity", "infinity"), ("interval", "1 day", "25 hours"), ("inet", "10.0.0.1", "10.0.0.2"),
    ("json", '{"a":1}', '{"a":2}'), ("jsonb", '{"a":1}', '{"a":2}'), ("json[]", '{"1"}', '{"2"}'), ("integer[]", "{1,2}", "{2,1}"),
    ("int4range", "[1,3)", "[1,4)"), ("point", "(1,2)", "(1,3)"), ("box", "(2,2),(0,0)", "(4,1),(0,0)"),
    ("circle", "<(0,0),1>", "<(1,1),1>"), ("bit(3)", "101", "100"), ("tsvector", "a b", "a c"), ("money", "1.5", "1.6"),  ("mood", "sad", "glad"), ("small", "1", "2"), ("pair", "(1,a)", "(1,b)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "one", "other"), VALUES, ids=[v[0] for v in VALUES])
def test_a_changed_value_of_any_type_is_seen(parts: Parts, kind: str, one: str, other: str) -> None:
    parts.db.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    parts.db.execute("CREATE DOMAIN small AS integer CHECK (value < 10)")
    parts.db.execute("CREATE TYPE pair AS (a integer, b text)")
    columns = [Column("id", "integer"), Column("v", kind)]
    old = parts([(1, one), (2, one), (3, None), (4, one)], columns)
    new = parts([(1, one), (2, other), (3, None), (5, one)], columns)
    keyed = parts.compare([old], [new], keys=["id"], columns=columns)
    assert (keyed.inserted, keyed.updated, keyed.deleted) == (1, 1, 1)
    assert [(c.column, c.changed) for c in keyed.columns] == [("v", 1)]
    loose = parts.compare([old], [new], columns=columns)
    assert (loose.inserted, loose.deleted) == (2, 2)


@pytest.mark.parametrize(("kind", "one", "other"), VALUES, ids=[v[0] for v in VALUES])
def test_a_value_of_any_type_may_be_a_key(parts: Parts, kind: str, one: str, other: str) -> None:
    parts.db.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    parts.db.execute("CREATE DOMAIN small AS integer CHECK (value < 10)")
    parts.db.execute("CREATE TYPE pair AS (a integer, b text)")
    columns = [Column("v", kind), Column("n", "integer")]
    old, new = parts([(one, 1)], columns), parts([(one, 2), (other, 1)], columns)
    found = parts.compare([old], [new], keys=["v"], columns=columns)
    assert (found.inserted, found.updated, found.deleted) == (1, 1, 0)
    assert [row["n"] for row in found.samples["updated"][0]] == ["1", "2"]


def test_parts_may_sort_a_column_differently(parts: Parts) -> None:
    columns = [Column("k", "text"), Column("v", "text")]
    old, two, new = parts([("a", "x")], columns), parts([("b", "x")], columns), parts([("a", "y")], columns)
    parts.db.execute(
        f'ALTER TABLE {two.relation.quoted} ALTER k TYPE text COLLATE "C", ALTER v TYPE text COLLATE "C"'
    )
    found = parts.compare([old, two], [new], keys=["k"], columns=columns)
    assert (found.updated, found.deleted) == (1, 1)
    assert parts.compare([old, two], [new], columns=columns).deleted == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ([1, 1], [1], "1 keys that occur more than once in the old version"),
        ([1], [1, 1], "1 keys that occur more than once in the new version"),
        ([1, 2, 2, 3, 3], [1], "2 keys that occur more than once in the old version"),
        ([1], [1, 9, 9, 9], "1 keys that occur more than once in the new version"),
        ([1, 1, 2], [1, 1], "1 keys that occur more than once in the old version, 1 keys"),
        ([1, None], [1], "1 rows with a null key in the old version"),
        ([1], [None, None, 1], "2 rows with a null key in the new version"),
    ],
    ids=["pair old", "pair new", "gone", "fresh", "both", "null old", "null new"],
)
def test_what_does_not_name_a_row_is_refused(
    parts: Parts, old: list[int | None], new: list[int | None], message: str
) -> None:
    sides = [parts([(n, "x", float(i)) for i, n in enumerate(ids)]) for ids in (old, new)]
    with pytest.raises(SpecError, match=rf"by \(id\): {message}.*compare without keys"):
        parts.compare(sides[:1], sides[1:], keys=["id"])


def test_a_part_of_a_key_that_is_null_is_refused(parts: Parts) -> None:
    old, new = parts([(1, None, 1.0)]), parts([(1, None, 2.0)])
    with pytest.raises(SpecError, match="1 rows with a null key in the old version, 1 rows"):
        parts.compare([old], [new], keys=["id", "kind"])


def test_a_part_that_holds_other_rows_than_it_should_is_no_diff(parts: Parts) -> None:
    old = parts([(1, "a", 1.0)])
    new = Part(99, "rides", old.locator, RIDES, Fingerprint(7, 7, 7))
    with pytest.raises(SpecError, match="does not hold the rows it was staged with"):
        parts.compare([old], [new], keys=["id"])


def test_an_unknown_key_is_answered_with_the_nearest(parts: Parts) -> None:
    with pytest.raises(SpecError, match=r"'idd' does not exist\. Did you mean 'id'"):
        parts.compare([], [], keys=["idd"])


def test_settings_and_the_transaction_are_left_as_they_were(parts: Parts) -> None:
    old, new = parts([(1, "a", 1.0)]), parts([(1, "b", 1.0)])
    shown = "SELECT current_setting('work_mem') || current_setting('jit')"
    before = parts.db.scalar(shown)
    with parts.db.transaction():
        parts.compare([old], [new], keys=["id"])
        assert parts.db.scalar(shown) == before
        parts.db.execute("CREATE TABLE kept ()")
    assert parts.db.scalar("SELECT to_regclass('kept') IS NOT NULL")


def test_very_many_columns(parts: Parts) -> None:
    columns = [Column(f"column {n}", "bigint") for n in range(900)]
    old, new = parts([range(900), range(1, 901)], columns), parts([range(900), [1, *range(3, 902)]], columns)
    found = parts.compare([old], [new], keys=["column 0"], columns=columns)
    assert (found.updated, len(found.columns)) == (1, 899)
    assert parts.compare([old], [new], columns=columns).inserted == 1


ROWS = st.dictionaries(
    st.integers(1, 12),
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([0.0, 1.5, None])),
    max_size=10,
)


def split(parts: Parts, draw: Any, rows: list[tuple[Any, ...]]) -> list[Part]:
    """Rows in random order over random parts."""
    shuffled = draw(st.permutations(rows))
    cut = draw(st.integers(0, len(rows)))
    return [parts(piece) for piece in (shuffled[:cut], shuffled[cut:])]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), old=ROWS, new=ROWS, common=st.integers(0, 3))
def test_any_two_versions_equal_the_model(
    parts: Parts, data: st.DataObject, old: dict[int, Any], new: dict[int, Any], common: int
) -> None:
    draw = data.draw
    shared = [parts([(100 + n, "s", 1.0)]) for n in range(common)]
    sides = [split(parts, draw, [(k, *v) for k, v in rows.items()]) for rows in (old, new)]
    found = parts.compare([*shared, *sides[0]], [*sides[1], *shared], keys=["id"], samples=100)
    both = {k for k in old if k in new}
    changed = {k for k in both if old[k] != new[k]}
    assert (found.inserted, found.updated, found.deleted) == (
        len(new) - len(both), len(changed), len(old) - len(both),
    )  # fmt: skip
    assert {c.column: c.changed for c in found.columns} == {
        name: n for i, name in ((0, "kind"), (1, "km")) if (n := sum(old[k][i] != new[k][i] for k in changed))
    }
    assert {row[1]["id"] for row in found.samples["updated"]} == {str(k) for k in changed}
    assert found.shared_parts >= common


CHANGES = st.dictionaries(st.integers(1, 60), st.sampled_from(["updated", "deleted"]), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, fresh=st.sets(st.integers(-5, 75).filter(lambda n: not 1 <= n <= 60), max_size=8))
def test_a_merge_over_parts_in_ranges_equals_the_model(
    parts: Parts, changes: dict[int, str], fresh: set[int]
) -> None:
    old, new = [], []
    for start in range(1, 61, 10):
        ids = range(start, start + 10)
        old.append(parts([(n, "old", 1.0) for n in ids]))
        left = [(n, "old", 1.0) for n in ids if n not in changes]
        new.append(old[-1] if len(left) == 10 else parts(left))
    updated = {n for n, what in changes.items() if what == "updated"}
    new.append(parts([(n, "new", 1.0) for n in sorted(updated | fresh)]))
    found = parts.compare(old, new, keys=["id"], samples=100)
    assert (found.inserted, found.updated, found.deleted) == (
        len(fresh), len(updated), len(changes) - len(updated),
    )  # fmt: skip
    shown = {
        kind: {int((row[1] if kind == "updated" else row)["id"]) for row in rows}
        for kind, rows in found.samples.items()
    }
    assert shown == {"inserted": fresh, "updated": updated, "deleted": set(changes) - updated}


def ranged(parts: Parts, kind: str, *starts: int) -> list[Part]:
    return [parts([(n, kind, 1.0) for n in range(start, start + 10)]) for start in starts]


def test_whole_parts_that_meet_nobody_are_counted_and_not_joined(parts: Parts) -> None:
    old, new = ranged(parts, "old", 0, 10, 40), ranged(parts, "new", 10, 20, 30)
    found = parts.compare(old, new, keys=["id"], samples=3)
    assert (found.inserted, found.updated, found.deleted) == (20, 10, 20)
    assert {kind: len(rows) for kind, rows in found.samples.items()} == {
        "inserted": 3,
        "updated": 3,
        "deleted": 3,
    }


def test_across_a_cut_keys_are_still_keys(parts: Parts) -> None:
    old = ranged(parts, "old", 0, 10, 20, 30, 40)
    new = [*ranged(parts, "new", 0, 10, 20, 30, 40), parts([(5, "again", 1.0), (45, "again", 1.0)])]
    with pytest.raises(SpecError, match="2 keys that occur more than once in the new version"):
        parts.compare(old, new, keys=["id"])
    new[-1] = parts([(None, "null", 1.0), (-1, "fresh", 1.0), (99, "fresh", 1.0)])
    with pytest.raises(SpecError, match="1 rows with a null key in the new version"):
        parts.compare(old, new, keys=["id"])
    new[-1] = parts([(None, "null", 1.0)])
    with pytest.raises(SpecError, match="1 rows with a null key in the new version"):
        parts.compare(old, new, keys=["id"])


def test_very_many_parts(parts: Parts) -> None:
    old, new = ([parts([(n, kind, 1.0)]) for n in range(150)] for kind in ("old", "new"))
    found = parts.compare(old, new, keys=["id"])
    assert (found.inserted, found.updated, found.deleted) == (0, 150, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), old=st.lists(st.sampled_from("abc")), new=st.lists(st.sampled_from("abc")))
def test_any_two_multisets_equal_the_model(
    parts: Parts, data: st.DataObject, old: list[str], new: list[str]
) -> None:
    sides = [split(parts, data.draw, [(None, kind, 1.0) for kind in kinds]) for kinds in (old, new)]
    found = parts.compare(*sides)
    more, fewer = Counter(new) - Counter(old), Counter(old) - Counter(new)
    assert (found.inserted, found.deleted) == (more.total(), fewer.total())
    assert {row["kind"] for row in found.samples["inserted"]} <= set(more)
