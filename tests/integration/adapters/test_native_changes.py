"""Verifying a table by the block ranges that changed gives what verifying it whole gives, whatever happened to it."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import Relation
from tests.ports.agreement import NOON, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.quality import QualityReport
    from airflow_dataml.core.segments import Reading

pytestmark = pytest.mark.integration

RIDES = Relation("public", "rides")
TEXT = """
dataset: w/demo/public/rides
columns:
  - {name: id, checks: [missing: , duplicate: , aggregate: {function: avg, threshold: {must_be_greater_than: 0}}]}
  - {name: code, checks: [missing: , invalid: {valid_values: [a, b]}]}
  - {name: zone, checks: [invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: zone}}]}
  - {name: fare, checks: [aggregate: {function: sum, threshold: {must_be: 1}}, aggregate: {qualifier: most, function: max, threshold: {must_be: 1}}]}
checks:
  - row_count:
  - schema: {allow_extra_columns: true}
  - failed_rows: {expression: fare > 3}
  - duplicate: {columns: [id, code]}
  - metric: {expression: stddev(fare), threshold: {must_be_less_than: 100}}
"""
CONTRACT = Contract.from_text(TEXT)
SETUP = """
CREATE TABLE zones AS SELECT g AS zone FROM generate_series(0, 4) g;
CREATE TABLE rides (id integer, code text, zone integer, fare numeric, note text) WITH (autovacuum_enabled = off, fillfactor = 80);
"""
FILL = """
INSERT INTO rides SELECT g, CASE WHEN g % 5 > 0 THEN chr(97 + g % 3) END, g % 6, g / 8.0
FROM generate_series(1, 1000) g
"""


class Rides:
    """A table of a few blocks, each a range of its own, and what is kept of them."""

    def __init__(self, dsn: str, *, fill: bool = True) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.kept: dict[int, dict[str, Any]] = {}
        self.engine = NativeEngine(range_pages=1)
        self.do(SETUP)
        if fill:
            self.do(FILL)

    def do(self, statements: str) -> None:
        for statement in filter(str.strip, statements.split(";")):
            self.connection.execute(statement.encode())

    def verify(self, contract: Contract = CONTRACT, relation: Relation = RIDES) -> Reading:
        """Verify by changes and whole, and keep what is found."""
        report, reading = self.verify_changes(contract, relation)
        full = self.engine.verify(connection=self.connection, **asked(contract, relation))
        assert differences(report, full) == []
        return reading

    def verify_changes(
        self, contract: Contract = CONTRACT, relation: Relation = RIDES
    ) -> tuple[QualityReport, Reading]:
        report, reading = self.engine.verify_changes(
            known=self.kept, connection=self.connection, **asked(contract, relation)
        )
        stored = json.loads(json.dumps({str(number): state for number, state in reading.states.items()}))
        self.kept |= {int(number): state for number, state in stored.items()}
        return report, reading

    def other(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn)


def asked(contract: Contract, relation: Relation) -> dict[str, Any]:
    return {
        "contract": contract, "relation": relation, "variables": {},
        "data_timestamp": NOON, "timeout_s": 60, "references": {},
    }  # fmt: skip


@pytest.fixture
def rides(postgres_dsn: str) -> Iterator[Rides]:
    rides = Rides(postgres_dsn)
    yield rides
    rides.connection.close()


def test_what_has_not_changed_is_not_measured(rides: Rides) -> None:
    first, again = rides.verify(), rides.verify()
    assert first.read == first.total > 4
    assert (again.read, again.total, again.states) == (0, first.total, {})
    assert again.to_dict() == {"read": 0, "of": first.total}


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ("VACUUM (FREEZE) rides", 0),
        ("SELECT * FROM rides FOR UPDATE", 0),
        ("BEGIN; DELETE FROM rides; INSERT INTO rides SELECT g FROM generate_series(1, 9) g; ROLLBACK", 0),
        ("ANALYZE rides; CREATE INDEX ON rides (id); COMMENT ON TABLE rides IS 'x'", 0),
        ("DELETE FROM rides WHERE id = 500", 1),
        ("UPDATE rides SET fare = 1e6 WHERE id = 500", 1),
        ("UPDATE rides SET note = repeat(md5(id::text), 900) WHERE id = 500", 2),
        ("DELETE FROM rides WHERE id > 990; VACUUM rides; INSERT INTO rides SELECT 1, 'a', 9, 77 FROM generate_series(1, 10)", 2),
        ("INSERT INTO rides VALUES (1, 'a', 9, 77)", 1),
        ("INSERT INTO rides SELECT g, 'b', 1, 1 FROM generate_series(2000, 2300) g", 4),
        ("BEGIN; SAVEPOINT a; INSERT INTO rides VALUES (1, 'z', 1, 1); RELEASE a; COMMIT", 1),
    ],
    ids=[
        "vacuum", "locks", "rolled back", "statistics", "delete", "update", "toasted", "in its stead",
        "insert", "append", "subtransaction",
    ],
)  # fmt: skip
def test_a_change_costs_the_ranges_it_touched(rides: Rides, change: str, most: int) -> None:
    rides.verify()
    rides.do(change)
    assert rides.verify().read <= most
    assert rides.verify().read == 0


@pytest.mark.parametrize(
    "change",
    [
        "VACUUM FULL rides",
        "CREATE INDEX by_id ON rides (id DESC); CLUSTER rides USING by_id",
        "ALTER TABLE rides ADD COLUMN extra integer DEFAULT 5",
        "ALTER TABLE rides ALTER COLUMN fare TYPE double precision",
        "ALTER TABLE rides RENAME COLUMN note TO fares; ALTER TABLE rides RENAME COLUMN fare TO note; ALTER TABLE rides RENAME COLUMN fares TO fare; ALTER TABLE rides ALTER COLUMN fare TYPE numeric USING id",
        "CREATE TABLE other AS TABLE rides; DROP TABLE rides; ALTER TABLE other RENAME TO rides",
        "SET TIME ZONE 'Asia/Tokyo'",
    ],
    ids=["vacuum full", "cluster", "column", "type", "swapped", "recreated", "time zone"],
)
def test_other_ground_is_measured_anew(rides: Rides, change: str) -> None:
    total = rides.verify().total
    rides.do(change)
    again = rides.verify()
    assert again.read == again.total
    assert again.total >= total - 1
    assert rides.verify().read == 0


def test_several_connections_read_the_same_snapshot(rides: Rides) -> None:
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(rides.other())
        return opened[-1]

    rides.do("INSERT INTO rides SELECT g, 'b', 1, 1 FROM generate_series(2000, 5000) g; ANALYZE rides")
    rides.engine = NativeEngine(range_pages=1, beside_from=1, connect=connect)
    _, first = rides.verify_changes()
    assert (first.read, len(opened) > 0) == (first.total, True)
    assert rides.verify().read == 0


def test_a_truncated_table_is_seen_empty_and_filled_again(rides: Rides) -> None:
    rides.verify()
    rides.do("TRUNCATE rides")
    assert rides.verify().total == 0
    rides.do(FILL)
    assert rides.verify().read == rides.verify().total


def test_a_changed_reference_is_compared_again(rides: Rides) -> None:
    rides.verify()
    rides.do("DELETE FROM zones WHERE zone = 3")
    assert rides.verify().read > 0
    assert rides.verify().read == 0


def test_a_transaction_that_was_running_is_found_when_it_ends(rides: Rides) -> None:
    """It wrote before the verification, and its number is below others that were seen."""
    with rides.other() as writer:
        writer.execute("SELECT pg_current_xact_id()")
        writer.execute("SAVEPOINT a")
        writer.execute("UPDATE rides SET fare = -1 WHERE id IN (3, 900)")
        rides.do("INSERT INTO rides VALUES (5000, 'a', 9, 1)")
        rides.verify()
        writer.execute("RELEASE a")
        writer.execute("DELETE FROM rides WHERE id = 400")
        rides.verify()
    assert rides.verify().read > 0
    assert rides.verify().read == 0


def test_an_old_snapshot_does_not_keep_the_rest_from_being_remembered(rides: Rides) -> None:
    with rides.other() as reader:
        reader.execute("SELECT pg_current_xact_id()")
        rides.do("INSERT INTO rides VALUES (5000, 'a', 9, 1)")
        total = rides.verify().total
        assert total - 1 > rides.verify().read > 0
    rides.verify()
    assert rides.verify().read == 0


@pytest.mark.parametrize(
    ("harm", "reads_all"),
    [
        ({"rows": 7}, False),
        ({"ground": "another server"}, True),
        ({"horizon": 3 - 2**31}, True),
        ({"horizon": 2**40}, True),
    ],
    ids=["rows", "ground", "wrapped", "restored"],
)
def test_what_cannot_be_trusted_is_measured_again(
    rides: Rides, harm: dict[str, Any], reads_all: bool
) -> None:
    total = rides.verify().total
    for number in rides.kept if reads_all else [0]:
        rides.kept[number]["range"] |= harm
    assert rides.verify().read == (total if reads_all else 1)


def test_a_state_of_another_contract_is_not_used(rides: Rides) -> None:
    rides.verify()
    other = Contract.from_text(TEXT.replace("fare > 3", "fare > 4"))
    again = rides.verify(other)
    assert again.read == again.total


def test_a_check_the_database_refuses_leaves_the_others_and_keeps_nothing(rides: Rides) -> None:
    broken = Contract.from_text(TEXT.replace("fare > 3", "no_such_column > 3"))
    reading = rides.verify(broken)
    assert reading.states == {}
    assert "no_such_column" in reading.whole


WHOLE = {
    "view": "CREATE VIEW seen AS TABLE rides",
    "partitioned": "CREATE TABLE seen (LIKE rides) PARTITION BY LIST (zone); CREATE TABLE leaf PARTITION OF seen DEFAULT; INSERT INTO seen TABLE rides",
    "inherited": "CREATE TABLE seen (LIKE rides); CREATE TABLE child () INHERITS (seen); INSERT INTO child TABLE rides; INSERT INTO seen TABLE rides",
}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("view", "only tables and materialized views have blocks"),
        ("partitioned", "a partitioned table has no file of its own"),
        ("inherited", "other tables inherit from it"),
    ],
)
def test_what_has_no_blocks_of_its_own_is_read_whole(rides: Rides, kind: str, reason: str) -> None:
    rides.do(WHOLE[kind])
    reading = rides.verify(relation=Relation("public", "seen"))
    assert reading.to_dict() == {"whole": reason}


def test_a_materialized_view_has_blocks(rides: Rides) -> None:
    rides.do("CREATE MATERIALIZED VIEW seen AS TABLE rides; CREATE UNIQUE INDEX ON seen (id)")
    seen = Relation("public", "seen")
    rides.verify(relation=seen)
    assert rides.verify(relation=seen).read == 0
    rides.do("UPDATE rides SET fare = -3 WHERE id = 9; REFRESH MATERIALIZED VIEW CONCURRENTLY seen")
    assert 0 < rides.verify(relation=seen).read < rides.verify(relation=seen).total
    rides.do("REFRESH MATERIALIZED VIEW seen")
    again = rides.verify(relation=seen)
    assert again.read == again.total


def test_rows_a_policy_hides_are_never_remembered(rides: Rides) -> None:
    rides.do(
        "CREATE ROLE guest_of_changes; GRANT SELECT ON rides, zones TO guest_of_changes;"
        "ALTER TABLE rides ENABLE ROW LEVEL SECURITY; CREATE POLICY odd ON rides USING (id % 2 = 1)"
    )
    try:
        rides.do("SET ROLE guest_of_changes")
        assert rides.verify().whole == "row security decides which rows are seen"
    finally:
        rides.do("RESET ROLE; DROP OWNED BY guest_of_changes; DROP ROLE guest_of_changes")


def test_inside_a_transaction_of_the_callers_the_table_is_read_whole(rides: Rides) -> None:
    with rides.connection.transaction():
        rides.do("DELETE FROM rides WHERE id < 100")
        assert rides.verify().whole == "the connection is in a transaction of its caller's"


def test_out_of_time_is_an_error_and_keeps_nothing(rides: Rides) -> None:
    report, reading = rides.engine.verify_changes(
        known={}, connection=rides.connection, **asked(CONTRACT, RIDES) | {"timeout_s": 0}
    )
    assert (report.verdict, reading.states) == (Verdict.ERROR, {})


NUMBERS = st.integers(1, 1100)
CHANGES = st.one_of(
    st.builds("INSERT INTO rides SELECT g, 'a', g % 7, g FROM generate_series({0}, {0} + {1}) g".format, NUMBERS, st.integers(0, 90)),
    st.builds("UPDATE rides SET fare = fare + 1 WHERE id BETWEEN {0} AND {0} + {1}".format, NUMBERS, st.integers(0, 40)),
    st.builds("UPDATE rides SET code = NULL WHERE id % {0} = 0".format, st.integers(50, 400)),
    st.builds("DELETE FROM rides WHERE id BETWEEN {0} AND {0} + {1}".format, NUMBERS, st.integers(0, 200)),
    st.builds("BEGIN; UPDATE rides SET id = -id WHERE id % {0} = 1; ROLLBACK".format, st.integers(2, 99)),
    st.builds("DELETE FROM rides WHERE id = {0}; INSERT INTO rides VALUES ({0}, 'c', 5, {0})".format, NUMBERS),
    st.builds("DELETE FROM zones WHERE zone = {0}".format, st.integers(0, 4)),
    st.sampled_from([
        "VACUUM rides", "VACUUM (FREEZE) rides", "VACUUM FULL rides", "TRUNCATE rides", "verify",
        "BEGIN; TRUNCATE rides; INSERT INTO rides VALUES (1, 'b', 2, 3); COMMIT",
        "ALTER TABLE rides ADD COLUMN IF NOT EXISTS more text DEFAULT 'x'",
        "CREATE INDEX IF NOT EXISTS by_id ON rides (id, code)",
    ]),
)  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.lists(CHANGES, max_size=3), min_size=1, max_size=7))
def test_any_sequence_of_changes_is_verified_as_a_whole_would_be(
    rides: Rides, story: list[list[str]]
) -> None:
    rides.do("DROP TABLE rides, zones" + ";" + SETUP + FILL)
    rides.verify()
    for chapter in story:
        for change in chapter:
            if change == "verify":
                rides.verify_changes()
            else:
                rides.do(change)
        rides.verify()


SUM = Contract.from_text("""
dataset: w/demo/public/rides
columns:
  - {name: fare, checks: [aggregate: {function: sum, threshold: {must_be: 0}}, missing: ]}
  - {name: id, checks: [missing: ]}
checks:
  - row_count: {threshold: {must_be: 1000}}
""")


def write(dsn: str, seed: int, stop: threading.Event) -> None:
    """Move amounts about, so that neither their sum nor the number of rows changes in any snapshot."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    with psycopg.connect(dsn) as connection:
        while not stop.is_set():
            one, other = sorted(chance.sample(range(1, 1001), 2))
            connection.execute("SELECT FROM rides WHERE id IN (%s, %s) ORDER BY id FOR UPDATE", [one, other])
            connection.execute("UPDATE rides SET fare = fare - 1 WHERE id = %s", [one])
            connection.execute("SAVEPOINT a")
            moved = "WITH gone AS (DELETE FROM rides WHERE id = %s RETURNING *) INSERT INTO rides SELECT id, code, zone, fare + 1 FROM gone"
            connection.execute(moved.encode(), [other])
            if chance.random() < 0.5:
                connection.execute("ROLLBACK TO a")
                connection.execute("UPDATE rides SET fare = fare + 1 WHERE id = %s", [other])
            chance.choice([connection.commit, connection.commit, connection.rollback])()


def test_with_writers_all_along_every_snapshot_is_whole(rides: Rides) -> None:
    rides.do("UPDATE rides SET fare = 0")
    rides.verify(SUM)
    stop = threading.Event()
    writers = [threading.Thread(target=write, args=[rides.dsn, seed, stop]) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        reports = [rides.verify_changes(SUM) for _ in range(40)]
        rides.do("VACUUM rides")
        reports += [rides.verify_changes(SUM) for _ in range(20)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [report.verdict for report, _ in reports if report.verdict is not Verdict.PASS] == []
    assert any(0 < reading.read < reading.total for _, reading in reports)
    rides.verify(SUM)
    assert rides.verify(SUM).read == 0
