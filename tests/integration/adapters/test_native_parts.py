"""Verifying piece by piece gives what verifying the whole gives, and reads what is new."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import ContractError, QualityEngineError
from airflow_dataml.core.quality import QualityReport, Verdict
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.segments import Segment
from tests.ports.agreement import NOON, differences
from tests.ports.forms import ALL, SETUP, contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.integration

ENGINE = NativeEngine()
WHOLE = Relation("public", "rides")
TEXT = """
dataset: w/demo/public/rides
columns:
  - {name: id, checks: [missing: , duplicate: , aggregate: {function: avg, threshold: {must_be_greater_than: 0}}]}
  - {name: code, checks: [missing: , invalid: {valid_values: [a, b]}, duplicate: ]}
  - {name: zone, checks: [invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: zone}}]}
  - {name: fare, checks: [aggregate: {function: sum, threshold: {must_be: 1}}, aggregate: {qualifier: least, function: min, threshold: {must_be: 1}}]}
checks:
  - row_count:
  - schema: {allow_extra_columns: true}
  - freshness: {column: at, threshold: {must_be_less_than: 1}}
  - failed_rows: {expression: fare > 3}
  - duplicate: {columns: [id, code]}
  - metric: {expression: stddev(fare), threshold: {must_be_less_than: 100}}
"""
CONTRACT = Contract.from_text(TEXT)
COLUMNS = "id integer, code text, zone integer, fare numeric, at timestamptz"


class Pieces:
    """A view over tables, each a segment, and the states kept of them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.states: dict[str, dict[str, Any]] = {}
        self.names: list[str] = []
        connection.execute("CREATE TABLE zones AS SELECT g AS zone FROM generate_series(0, 4) g")

    def add(self, select: str, *, columns: str = COLUMNS, index: bool = False) -> None:
        name = f"part_{len(self.names) + 1}"
        self.connection.execute(f"CREATE TABLE {name} ({columns}); INSERT INTO {name} {select}".encode())
        if index:
            self.connection.execute(
                f"CREATE INDEX ON {name} (id, code); CREATE INDEX ON {name} (code)".encode()
            )
        self.names.append(name)
        self.show()

    def rides(self, low: int, high: int, *, index: bool = False) -> None:
        """Rides numbered from low to high."""
        self.add(
            "SELECT g, CASE WHEN g % 5 > 0 THEN chr(97 + g % 3) END, g % 6, g / 8.0, '2013-01-31 08:00+00'::timestamptz + g * interval '1 s'"
            f" FROM generate_series({low}, {high}) g",
            index=index,
        )

    def show(self) -> None:
        fields = {words.split()[0]: words.split()[1] for words in COLUMNS.split(", ")}
        selects = []
        for name in self.names:
            row = self.connection.execute(f"SELECT * FROM {name} LIMIT 0".encode())
            own = {column.name for column in row.description or ()}
            items = [f"{f}::{t} AS {f}" if f in own else f"NULL::{t} AS {f}" for f, t in fields.items()]
            selects.append(f"SELECT {', '.join(items)} FROM {name}")
        self.connection.execute(f"CREATE OR REPLACE VIEW rides AS {' UNION ALL '.join(selects)}".encode())

    def segments(self) -> list[Segment]:
        return [Segment(name, Relation("public", name), self.states.get(name)) for name in self.names]

    def verify(self, wanted: Contract = CONTRACT, **given: Any) -> tuple[QualityReport, set[str]]:
        """The report, and which segments were measured; their states are kept."""
        arguments = {"variables": {}, "data_timestamp": NOON, "timeout_s": 60, "references": {}} | given
        report, states = ENGINE.verify_parts(
            contract=wanted, relation=WHOLE, segments=self.segments(), connection=self.connection, **arguments
        )
        self.states |= json.loads(json.dumps(states))
        fully = ENGINE.verify(contract=wanted, relation=WHOLE, connection=self.connection, **arguments)
        assert differences(report, fully) == []
        return report, set(states)

    def reads(self, *names: str) -> dict[str, int]:
        """How often each table was read so far, by scan or index."""
        self.connection.execute("SELECT pg_stat_force_next_flush()")
        found = self.connection.execute(
            "SELECT relname, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables"
        ).fetchall()
        return {name: count for name, count in found if name in names}


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        yield opened


@pytest.fixture
def pieces(connection: psycopg.Connection[Any]) -> Pieces:
    made = Pieces(connection)
    made.rides(1, 40)
    return made


def without(*words: str) -> Contract:
    """The contract without the checks these words name."""
    kept = [line for line in TEXT.splitlines() if not any(word in line for word in words)]
    return Contract.from_text("\n".join(kept))


def test_an_unchanged_table_is_not_read(pieces: Pieces) -> None:
    wanted = without("stddev")
    assert pieces.verify(wanted)[1] == {"part_1"}
    before = pieces.reads("part_1")
    report, states = ENGINE.verify_parts(
        contract=wanted, relation=WHOLE, segments=pieces.segments(), connection=pieces.connection,
        variables={}, data_timestamp=NOON, timeout_s=60, references={},
    )  # fmt: skip
    assert states == {}
    assert report.rows == 40
    assert pieces.reads("part_1") == before


def test_an_append_of_rising_keys_reads_the_new_rows_alone(pieces: Pieces) -> None:
    wanted = without("stddev", "name: code")
    assert pieces.verify(wanted)[1] == {"part_1"}
    pieces.rides(41, 60)
    before = pieces.reads("part_1")
    report, states = ENGINE.verify_parts(
        contract=wanted, relation=WHOLE, segments=pieces.segments(), connection=pieces.connection,
        variables={}, data_timestamp=NOON, timeout_s=60, references={},
    )  # fmt: skip
    assert set(states) == {"part_2"}
    assert pieces.reads("part_1") == before
    assert {check.id: check.observed for check in report.checks}["columns.id.checks.duplicate"] == 0


@pytest.mark.parametrize("index", [False, True], ids=["without index", "with index"])
@pytest.mark.parametrize("low", [30, 200, -50], ids=["overlapping", "above", "below"])
def test_appends_find_the_duplicates_of_old_rows(
    connection: psycopg.Connection[Any], index: bool, low: int
) -> None:
    pieces = Pieces(connection)
    pieces.rides(1, 2000, index=index)
    pieces.verify()
    pieces.rides(low, low + 20, index=index)
    assert pieces.verify()[1] == {"part_2"}
    pieces.add(
        "VALUES (7, NULL, 1, 2, NULL::timestamptz), (7, NULL, 1, 2, NULL), (NULL, 'z', 9, 2, NULL)",
        index=index,
    )
    report, _ = pieces.verify()
    pieces.rides(3000, 3010, index=index)
    assert pieces.verify()[1] == {"part_4"}
    assert report.rows == 2024


def test_a_segment_may_leave_and_come_back(pieces: Pieces) -> None:
    pieces.verify()
    pieces.rides(20, 60)
    pieces.verify()
    pieces.names = ["part_2"]
    pieces.show()
    assert pieces.verify()[1] == set()
    pieces.names = ["part_1", "part_2"]
    pieces.show()
    assert pieces.verify()[1] == set()


def test_another_content_of_a_reference_is_compared_again(pieces: Pieces) -> None:
    def invalid() -> int:
        report, states = pieces.verify()
        seen.append(states)
        return int(str({c.id: c.observed for c in report.checks}["columns.zone.checks.invalid"]))

    seen: list[set[str]] = []
    assert [invalid(), invalid()] == [6, 6]
    pieces.connection.execute("INSERT INTO zones VALUES (5)")
    assert [invalid(), invalid()] == [0, 0]
    assert seen == [{"part_1"}, set(), {"part_1"}, set()]


def test_another_table_of_the_same_content_is_not(pieces: Pieces) -> None:
    pieces.verify()
    pieces.connection.execute("CREATE TABLE zones_2 AS SELECT zone FROM zones ORDER BY 1 DESC")
    assert pieces.verify(references={"zones": Relation("public", "zones_2")})[1] == set()


def test_an_older_part_may_lack_a_column_or_have_a_narrower_one(pieces: Pieces) -> None:
    pieces.add("SELECT 'x', 90::smallint", columns="code text, id smallint")
    report, states = pieces.verify()
    assert states == {"part_1", "part_2"}
    assert report.errors == ()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(("must_be_less_than: 1}", "must_be_less_than: 9}"), False, id="threshold"),
        pytest.param(("fare > 3", "fare > 4"), True, id="expression"),
        pytest.param(("valid_values: [a, b]", "valid_values: [a]"), True, id="rule"),
        pytest.param(("checks:\n  - row_count:", "filter: id > 3\nchecks:\n  - row_count:"), True, id="filter"),
    ],
)  # fmt: skip
def test_a_state_is_good_for_what_it_measured(pieces: Pieces, change: tuple[str, str], again: bool) -> None:
    pieces.verify()
    other = Contract.from_text(TEXT.replace(*change))
    assert (ENGINE.plan_digest(CONTRACT, {}) != ENGINE.plan_digest(other, {})) is again
    assert pieces.verify(other)[1] == ({"part_1"} if again else set())


def test_other_values_of_variables_are_another_plan(pieces: Pieces) -> None:
    text = TEXT.replace("fare > 3", "'fare > ${var.least}'") + "variables: {least: {default: 3}}\n"
    wanted = Contract.from_text(text)
    assert pieces.verify(wanted)[1] == {"part_1"}
    assert pieces.verify(wanted, variables={"least": 3})[1] == set()
    assert pieces.verify(wanted, variables={"least": 4})[1] == {"part_1"}


@pytest.mark.parametrize(
    "expression",
    [
        "at < now()", "at < '${soda.NOW}'", "at::date < CURRENT_DATE", "at < 'yesterday'",
        "zone NOT IN (SELECT zone FROM zones)", "random() > 2",
    ],
)  # fmt: skip
def test_what_moves_is_measured_on_all_rows_each_time(pieces: Pieces, expression: str) -> None:
    wanted = Contract.from_text(TEXT.replace("fare > 3", json.dumps(expression)))
    plans = {ENGINE.plan_digest(wanted, {}) for _ in range(2)}
    assert len(plans) == 1
    pieces.verify(wanted)
    assert all(re.search("count:", key) for key in list(pieces.states["part_1"]["values"])[:1])
    pieces.rides(41, 60)
    assert pieces.verify(wanted)[1] == {"part_2"}


def test_a_broken_check_keeps_no_state_and_voids_no_other(pieces: Pieces) -> None:
    wanted = Contract.from_text(TEXT.replace("fare > 3", "1 / (id - 5) > 2"))
    report, states = pieces.verify(wanted)
    assert states == set()
    assert [check.id for check in report.checks if check.verdict is Verdict.ERROR] == ["checks.failed_rows"]


@pytest.mark.parametrize(
    "state",
    [{}, {"version": 0}, {"version": 1, "plan": "other", "values": {}}, {"version": 1, "plan": None}, None],
    ids=["empty", "old", "other plan", "no values", "none"],
)
def test_a_state_that_does_not_fit_is_as_good_as_none(
    pieces: Pieces, state: Mapping[str, Any] | None
) -> None:
    pieces.states["part_1"] = state  # type: ignore[assignment]
    assert pieces.verify()[1] == {"part_1"}


def test_a_segment_that_is_gone_is_an_error(pieces: Pieces) -> None:
    pieces.connection.execute("ALTER TABLE part_1 RENAME TO elsewhere")
    report, states = ENGINE.verify_parts(
        contract=CONTRACT, relation=WHOLE, segments=pieces.segments(), connection=pieces.connection,
        variables={}, data_timestamp=NOON, timeout_s=60, references={},
    )  # fmt: skip
    assert states == {}
    assert report.verdict is Verdict.ERROR
    assert "there is no table or view public.part_1" in report.summary()


@pytest.mark.parametrize("written", ALL.values(), ids=ALL.keys())
def test_every_check_type_by_pieces(connection: psycopg.Connection[Any], written: Any) -> None:
    connection.execute(SETUP)
    connection.execute("ALTER TABLE rides RENAME TO every")
    names = []
    for index, condition in enumerate(("id < 9", "id BETWEEN 9 AND 20", "id > 20", "id < 0")):
        connection.execute(f"CREATE TABLE piece_{index} AS SELECT * FROM every WHERE {condition}".encode())
        names.append(f"piece_{index}")
    connection.execute(
        ("CREATE VIEW rides AS " + " UNION ALL ".join(f"SELECT * FROM {n}" for n in names)).encode()
    )
    wanted = contract(written, filter="id > 2 OR id = 1")
    states: dict[str, Any] = {}
    for _ in range(2):
        report, new = ENGINE.verify_parts(
            contract=wanted, relation=WHOLE, connection=connection, variables={}, data_timestamp=NOON, timeout_s=60,
            segments=[Segment(name, Relation("public", name), states.get(name)) for name in names], references={},
        )  # fmt: skip
        assert report.errors == ()
        fully = ENGINE.verify(
            contract=wanted, relation=WHOLE, connection=connection, variables={}, data_timestamp=NOON, timeout_s=60, references={},
        )  # fmt: skip
        assert differences(report, fully) == []
        states |= new
    assert new == {}


class TestMeasureMergeJudge:
    def measure(self, connection: psycopg.Connection[Any], name: str) -> dict[str, Any]:
        state = ENGINE.measure(
            contract=CONTRACT, relation=Relation("public", name), connection=connection, variables={}, timeout_s=60, references={},
        )  # fmt: skip
        assert json.loads(json.dumps(state)) == state
        return state

    def test_merged_states_are_judged_as_the_whole(self, pieces: Pieces) -> None:
        pieces.rides(30, 60)
        merged = ENGINE.merge([self.measure(pieces.connection, name) for name in pieces.names])
        judged = ENGINE.judge(
            contract=CONTRACT, state=merged, relation=WHOLE, variables={}, data_timestamp=NOON
        )
        fully = {c.id: c for c in pieces.verify()[0].checks}
        known = [c for c in judged.checks if c.verdict is not Verdict.ERROR]
        assert [fully[c.id] for c in known] == known
        assert {c.id for c in judged.checks} - {c.id for c in known} == {
            "checks.schema", "checks.duplicate", "checks.metric", "columns.id.checks.duplicate", "columns.code.checks.duplicate",
        }  # fmt: skip

    def test_states_of_another_contract_are_refused(self, pieces: Pieces) -> None:
        state = self.measure(pieces.connection, "part_1")
        other = Contract.from_text(TEXT.replace("fare > 3", "fare > 4"))
        with pytest.raises(ContractError, match="measured for another contract"):
            ENGINE.judge(contract=other, state=state, relation=WHOLE, variables={}, data_timestamp=NOON)
        with pytest.raises(ValueError, match="states of 2 plans"):
            ENGINE.merge([state, {**state, "plan": "other"}])
        with pytest.raises(ValueError, match="states of 0 plans"):
            ENGINE.merge([])

    def test_what_cannot_be_measured_is_told(self, pieces: Pieces) -> None:
        with pytest.raises(
            QualityEngineError, match=r"public\.nowhere cannot be measured: there is no such table"
        ):
            self.measure(pieces.connection, "nowhere")
        pieces.connection.execute("ALTER TABLE part_1 DROP COLUMN fare CASCADE")
        with pytest.raises(QualityEngineError, match='cannot be measured: column "fare" does not exist'):
            self.measure(pieces.connection, "part_1")


NUMBERS = st.none() | st.sampled_from(
    ["NaN", "0.10", "-2.5", "123456789012345678901234567890.123456789", "7", "1e-20"]
)
ROW = st.tuples(
    st.none() | st.integers(-9, 9), st.sampled_from([None, "a", "b", ""]), st.none() | st.integers(0, 9), NUMBERS,
    st.sampled_from([None, "2013-01-31 08:00+00", "2013-01-30 09:00:00.25+00"]), st.integers(0, 3),
)  # fmt: skip


@pytest.fixture(scope="module")
def lasting(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server, autocommit=True) as opened:
        opened.execute("CREATE TABLE zones AS SELECT 1 AS zone")
        opened.execute(f"CREATE TABLE rides ({COLUMNS}, piece integer)".encode())
        for number in range(4):
            opened.execute(
                f"CREATE VIEW split_{number} AS SELECT * FROM rides WHERE piece = {number}".encode()
            )
        yield opened
        opened.execute("DROP TABLE rides, zones CASCADE")


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(ROW, max_size=12))
def test_the_states_of_any_split_make_the_state_of_the_whole(
    lasting: psycopg.Connection[Any], rows: list[tuple[Any, ...]]
) -> None:
    lasting.execute("TRUNCATE rides")
    with lasting.cursor() as cursor:
        cursor.executemany("INSERT INTO rides VALUES (%s, %s, %s, %s::numeric, %s::timestamptz, %s)", rows)

    def measure(name: str) -> dict[str, Any]:
        return ENGINE.measure(
            contract=CONTRACT, relation=Relation("public", name), connection=lasting, variables={}, timeout_s=60, references={},
        )  # fmt: skip

    assert ENGINE.merge([measure(f"split_{number}") for number in range(4)]) == measure("rides")


KEYS = st.lists(
    st.tuples(st.none() | st.integers(0, 9), st.sampled_from([None, "a", "b"])), min_size=0, max_size=5
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(KEYS, min_size=1, max_size=4), index=st.booleans(), base=st.integers(0, 3))
def test_any_row_of_appends_counts_duplicates_as_the_whole_does(
    lasting: psycopg.Connection[Any],
    batches: list[list[tuple[int | None, str | None]]],
    index: bool,
    base: int,
) -> None:
    """Enough old rows stand before them that looking new keys up is the cheaper way."""
    wanted = Contract.from_text("""
dataset: w/rides
columns: [{name: id, checks: [duplicate: ]}, {name: code, checks: [duplicate: {filter: id > 2}]}]
checks: [row_count: , duplicate: {columns: [id, code]}]
""")
    states: dict[str, Any] = {}
    with lasting.transaction(force_rollback=True):
        for number in range(len(batches) + 1):
            lasting.execute(f"CREATE TABLE appended_{number} (id integer, code text)".encode())
            if index:
                lasting.execute(
                    f"CREATE INDEX ON appended_{number} (id, code); CREATE INDEX ON appended_{number} (code)".encode()
                )
        lasting.execute(
            "INSERT INTO appended_0 SELECT g %% 300 + %s, chr(97 + g %% 2) FROM generate_series(1, 400) g",
            [base],
        )
        for number in range(len(batches) + 1):
            names = [f"appended_{n}" for n in range(number + 1)]
            union = " UNION ALL ".join(f"SELECT * FROM {name}" for name in names)
            lasting.execute(f"CREATE OR REPLACE VIEW appended AS {union}".encode())
            if number:
                with lasting.cursor() as cursor:
                    cursor.executemany(
                        f"INSERT INTO appended_{number} VALUES (%s, %s)".encode(), batches[number - 1]
                    )
            arguments: dict[str, Any] = {
                "contract": wanted, "relation": Relation("public", "appended"), "connection": lasting,
                "variables": {}, "data_timestamp": NOON, "timeout_s": 60, "references": {},
            }  # fmt: skip
            segments = [Segment(name, Relation("public", name), states.get(name)) for name in names]
            report, new = ENGINE.verify_parts(segments=segments, **arguments)
            assert set(new) == {f"appended_{number}"}
            states |= new
            assert differences(report, ENGINE.verify(**arguments)) == []
