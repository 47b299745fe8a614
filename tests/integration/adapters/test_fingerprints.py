from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.fingerprints import (
    describe_relation,
    fingerprint_relation,
    fingerprint_sql,
)
from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = Relation.parse("public.t")
NUMBERS = itertools.count()


@pytest.fixture
def db(postgres_dsn: str) -> Iterator[Connection]:
    with Connection(postgres_dsn) as connection:
        yield connection


def of_rows(db: Connection, columns: str, *rows: str) -> Fingerprint:
    """Fingerprint of a table of these rows, written as SQL."""
    name = f"t{next(NUMBERS)}"
    db.execute(f"CREATE TABLE {name} ({columns})")
    if rows:
        db.execute(f"INSERT INTO {name} VALUES {', '.join(f'({row})' for row in rows)}")
    return fingerprint_relation(db, Relation.parse(f"public.{name}"))


PAIRS = [
    ("smallint", "1", "2"), ("integer", "1", "-1"), ("bigint", "1", "4294967296"), ("bigint", "-1", "0"),
    ("numeric(10,2)", "1.10", "1.11"), ("numeric", "1e400", "'Infinity'"),
    ("real", "'NaN'", "'Infinity'"), ("double precision", "'NaN'", "null"), ("double precision", "1e300", "1e301"),
    ("boolean", "true", "false"), ("text", "'null'", "null"), ("text", "''", "null"), ("varchar(9)", "'a'", "'A'"),
    ('"char"', "'a'", "'b'"), ("bytea", r"'\x00'", r"'\x0000'"), ("uuid", "gen_random_uuid()", "gen_random_uuid()"),
    ("inet", "'10.0.0.1'", "'10.0.0.2'"), ("cidr", "'10.0.0.0/8'", "'10.0.0.0/9'"), ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("date", "'2024-01-01'", "'infinity'"), ("time", "'01:00'", "'01:01'"), ("timetz", "'01:00+01'", "'02:00+01'"),
    ("timestamp(3)", "'2024-01-01 00:00:00.001'", "'2024-01-01 00:00:00.002'"),
    ("timestamptz", "'2024-01-01 00:00+00'", "'2024-01-01 00:00+01'"), ("interval", "'1 day'", "'25 hours'"),
    ("json", """'{"a":1}'""", """'{"a":2}'"""), ("jsonb", """'{"a":1}'""", """'{"a":2}'"""), ("json[]", """array['1'::json]""", """array['2'::json]"""),
    ("integer[]", "'{1,2}'", "'{2,1}'"), ("text[]", "'{a,null}'", "'{a,\"null\"}'"), ("double precision[]", "'{0}'", "'{NaN}'"),
    ("int4range", "'[1,3)'", "'[1,4)'"), ("tstzrange", "'[2024-01-01,)'", "'[2024-01-02,)'"), ("nummultirange", "'{[1,2)}'", "'{[1,3)}'"),
    ("point", "'(1,2)'", "'(1,3)'"), ("box", "'(1,2),(0,0)'", "'(1,3),(0,0)'"), ("bit(3)", "'101'", "'100'"), ("tsvector", "'a b'", "'a c'"),
    ("money", "1.5", "1.6"), ("pg_lsn", "'0/1'", "'0/2'"), ("jsonpath", "'$.a'", "'$.b'"),
    ("mood", "'sad'", "'glad'"), ("pair", "row(1,'a')", "row(1,'b')"), ("mixed", """row(1,'{"a":1}')""", """row(1,'{"a":2}')"""),
    ("id_type", "1", "4294967296"), ("doc_type", "'1'", "'2'"), ("mood[]", "'{sad}'", "'{glad}'"),
]  # fmt: skip


class TestTypes:
    @pytest.fixture(autouse=True)
    def _types(self, db: Connection) -> None:
        db.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        db.execute("CREATE TYPE pair AS (a integer, b text)")
        db.execute("CREATE TYPE mixed AS (a integer, b json)")
        db.execute("CREATE DOMAIN id_type AS bigint NOT NULL")
        db.execute("CREATE DOMAIN inner_doc AS json NOT NULL")
        db.execute("CREATE DOMAIN doc_type AS inner_doc")

    @pytest.mark.parametrize(("type_", "one", "two"), PAIRS, ids=[f"{p[0]} {p[1]} {p[2]}" for p in PAIRS])
    def test_every_type_tells_its_values_apart(self, db: Connection, type_: str, one: str, two: str) -> None:
        columns = f"id integer, v {type_}"
        first = of_rows(db, columns, f"1, {one}", f"2, {two}") if type_ != "uuid" else None
        if first is not None:
            assert of_rows(db, columns, f"2, {two}", f"1, {one}") == first
            assert of_rows(db, columns, f"1, {two}", f"2, {one}") != first
            assert of_rows(db, columns, f"1, {one}", f"2, {one}") != first
        assert of_rows(db, columns, f"1, {one}") != of_rows(db, columns, f"1, {two}")

    @pytest.mark.parametrize(
        ("type_", "one", "same"),
        [
            ("double precision", "0.0", "'-0.0'::float8"),
            ("real", "0.0", "'-0.0'::float4"),
            ("double precision", "'NaN'", "'-NaN'::float8"),
            ("numeric", "1.0", "1.00"),
            ("interval", "'1 month'", "'30 days'"),
            ("jsonb", """'{"a": 1, "b": 2}'""", """'{"b":2,"a":1.0}'"""),
            ("timestamptz", "'2024-01-01 12:00+00'", "'2024-01-01 13:00+01'"),
            ("character(5)", "'a'", "'a  '"),
        ],
        ids=[
            "minus zero",
            "minus zero real",
            "nan",
            "scale",
            "interval",
            "jsonb",
            "zone",
            "padding",
        ],
    )
    def test_what_is_equal_counts_as_equal(self, db: Connection, type_: str, one: str, same: str) -> None:
        assert of_rows(db, f"v {type_}", one) == of_rows(db, f"v {type_}", same)

    def test_the_session_has_no_say(self, db: Connection) -> None:
        columns, row = (
            "p point, j json, t timestamptz[]",
            """'(0.1,0.2)', '{"a":1}', array[timestamptz '2024-01-01 00:00+00']""",
        )
        before = of_rows(db, columns, row)
        for setting in ("extra_float_digits = -3", "timezone = 'Asia/Tokyo'", "datestyle = 'German'"):
            db.execute(f"SET {setting}")
        assert of_rows(db, columns, row) == before
        assert db.scalar("SHOW timezone") == "Asia/Tokyo"


class TestRows:
    def test_a_dropped_column_leaves_no_trace(self, db: Connection) -> None:
        clean = of_rows(db, "a integer, c text", "1, 'x'", "2, null")
        db.execute("CREATE TABLE t (gone text, a integer, lost json, c text)")
        db.execute("INSERT INTO t VALUES ('u', 1, '1', 'x'), ('v', 2, '2', null)")
        db.execute("ALTER TABLE t DROP COLUMN gone, DROP COLUMN lost")
        assert fingerprint_relation(db, T) == clean

    def test_a_column_added_with_a_default_is_like_a_written_one(self, db: Connection) -> None:
        db.execute("CREATE TABLE t AS SELECT 1 AS a")
        db.execute("ALTER TABLE t ADD COLUMN b text DEFAULT 'x'")
        assert fingerprint_relation(db, T) == of_rows(db, "a integer, b text", "1, 'x'")

    @pytest.mark.parametrize(
        ("left", "right"),
        [
            (["1, 1", "1, 1", "2, 2", "2, 2"], ["1, 2", "1, 2", "2, 1", "2, 1"]),
            (["1, 1", "2, 2"], ["1, 2", "2, 1"]),
            (["1, 1", "1, 1"], []),
            (["1, 1", "1, 1"], ["2, 2", "2, 2"]),
            (["null, 1"], ["1, null"]),
            (["1, 1"], ["null, null"]),
            (["0, 0"], ["null, null"]),
        ],
        ids=[
            "swapped in pairs",
            "swapped",
            "a pair and nothing",
            "another pair",
            "null moves",
            "alike",
            "zeros",
        ],
    )
    def test_what_a_plain_sum_or_xor_of_hashes_would_miss(
        self, db: Connection, left: list[str], right: list[str]
    ) -> None:
        assert of_rows(db, "a integer, b integer", *left) != of_rows(db, "a integer, b integer", *right)

    @pytest.mark.parametrize(
        ("type_", "one", "two"),
        [
            ("numeric", "0", "'NaN'"),
            ("numeric", "0", "null"),
            ("double precision", "0", "null"),
            ("jsonb", "'{}'", "'[]'"),
            ("jsonb", "'{}'", "null"),
            ("integer[]", "'{}'", "null"),
            ("int4range", "'empty'", "null"),
            ("text", "''", "null"),
        ],
        ids=["nan", "zero", "float zero", "containers", "object", "array", "range", "text"],
    )
    def test_two_columns_of_one_value_do_not_cancel_out(
        self, db: Connection, type_: str, one: str, two: str
    ) -> None:
        columns = ", ".join(f"c{i} {type_}" for i in range(4))
        marks = {of_rows(db, columns, ", ".join([one] * n + [two] * (4 - n))) for n in range(5)}
        assert len(marks) == 5

    def test_a_column_counts_by_name_and_a_null_one_not_at_all(self, db: Connection) -> None:
        mark = of_rows(db, "a integer, b text", "1, 'x'", "2, null")
        assert of_rows(db, "b text, a integer", "'x', 1", "null, 2") == mark
        assert of_rows(db, "n json, a integer, b text", "null, 1, 'x'", "null, 2, null") == mark
        assert of_rows(db, "a integer, c text", "1, 'x'", "2, null") != mark

    @pytest.mark.parametrize(
        ("narrow", "wide", "values"),
        [
            ("smallint", "integer", ["-32768", "0", "7"]),
            ("integer", "bigint", ["-2147483648", "-1", "0", "2147483647"]),
            ("real", "double precision", ["0.5", "'NaN'", "0"]),
            ("varchar(3)", "text", ["'a'", "''"]),
            ("numeric(4,1)", "numeric(9,3)", ["1.5", "0"]),
        ],
        ids=["smallint", "integer", "real", "varchar", "numeric"],
    )
    def test_a_wider_type_changes_nothing(
        self, db: Connection, narrow: str, wide: str, values: list[str]
    ) -> None:
        assert of_rows(db, f"v {narrow}", *values) == of_rows(db, f"v {wide}", *values)

    def test_upper_bits_of_bigints_count(self, db: Connection) -> None:
        edges = (0, 1, -1, 2**31, -(2**31), 2**32, 2**32 - 1, -(2**32), 2**62, -(2**62), 2**63 - 1, -(2**63))
        values = {v for e in edges for v in (e, e + 1, e - 1, ~e, e ^ 0x7FFFFFFF) if -(2**63) <= v < 2**63}
        assert len({of_rows(db, "v bigint", str(v)) for v in values}) == len(values)

    def test_no_row_is_no_fingerprint(self, db: Connection) -> None:
        assert of_rows(db, "a integer") == Fingerprint()
        assert of_rows(db, "") == Fingerprint()

    def test_a_view_is_like_its_table(self, db: Connection) -> None:
        db.execute("CREATE TABLE a AS SELECT i, i::text AS s FROM generate_series(1, 10) i")
        db.execute("CREATE VIEW t AS SELECT i, s FROM a UNION ALL SELECT i, s FROM a")
        one = fingerprint_relation(db, Relation.parse("public.a"))
        assert fingerprint_relation(db, T) == one + one

    def test_the_widest_table(self, db: Connection) -> None:
        names = [f"c{i}" for i in range(1500)]
        db.execute(f"CREATE TABLE t ({', '.join(f'{n} bigint' for n in names)})")
        db.execute("INSERT INTO t (c0, c799, c800, c1499) VALUES (1, 2, 3, 4)")
        whole = fingerprint_relation(db, T)
        db.execute("UPDATE t SET c800 = c799, c799 = c800")
        assert fingerprint_relation(db, T) != whole

    def test_hostile_names(self, db: Connection) -> None:
        columns = 'select integer, "a"" || %s {}" json, "t.x" text, "row" bigint, "hashed" text'
        quoted = columns.replace("select", '"select"')
        assert of_rows(db, quoted, "1, '1', 'x', 1, 'y'").rows == 1

    def test_a_missing_table_is_named(self, db: Connection) -> None:
        with pytest.raises(SpecError, match=r'relation "public\.t" does not exist'):
            fingerprint_relation(db, T)

    def test_each_row_is_hashed_once(self, db: Connection) -> None:
        db.execute("CREATE TABLE t AS SELECT 1 AS a")
        plan = [r["QUERY PLAN"] for r in db.rows(f"EXPLAIN (VERBOSE, COSTS OFF) {fingerprint_sql(db, T)}")]
        # What the scan puts out already, the aggregates above only take over.
        assert plan[-2] == "  ->  Seq Scan on public.t"
        assert plan[-1].startswith("        Output: hashint4extended(0, COALESCE(hashint4extended(t.a, ")

    def test_what_the_catalog_promises_of_nulls_changes_nothing(self, db: Connection) -> None:
        names = [f"c{i}" for i in range(60)]
        db.execute(
            f"CREATE TABLE t AS SELECT {', '.join(f'i + {i} AS {n}' for i, n in enumerate(names))}, i::bigint AS b,"
            " i::text::json AS j, i::numeric AS n, ARRAY[i] AS a, '{}'::jsonb AS o FROM generate_series(1, 50) i"
        )
        unknown = fingerprint_relation(db, T)
        before = fingerprint_sql(db, T)
        db.execute("ANALYZE t")
        assert fingerprint_sql(db, T) != before
        assert fingerprint_relation(db, T) == unknown
        db.execute("ALTER TABLE t ALTER c3 SET NOT NULL, ALTER o SET NOT NULL")
        assert fingerprint_relation(db, T) == unknown

    def test_a_null_the_statistics_do_not_know_of_counts(self, db: Connection) -> None:
        db.execute("CREATE TABLE t AS SELECT i AS a, i % 7 AS b, i::text AS c FROM generate_series(1, 50) i")
        db.execute("ANALYZE t")
        db.execute("UPDATE t SET b = NULL, c = CASE WHEN a > 2 THEN c END WHERE a < 4")
        surprised = fingerprint_relation(db, T)
        db.execute("ANALYZE t")
        assert fingerprint_relation(db, T) == surprised


VALUES = st.tuples(
    st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.sampled_from([0.0, -0.0, float("nan"), float("inf")]), st.floats()),
    st.one_of(
        st.none(), st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=4)
    ),
    st.one_of(st.none(), st.booleans()),
)
ROWS = st.lists(VALUES, max_size=6)


def as_compared(rows: Sequence[tuple[Any, ...]]) -> Counter[str]:
    """The rows as PostgreSQL compares them: ``-0.0`` is ``0.0``, every NaN is one."""
    return Counter(repr([v + 0.0 if isinstance(v, float) else v for v in row]) for row in rows)


def load(db: Connection, rows: Sequence[tuple[Any, ...]]) -> Fingerprint:
    db.execute("TRUNCATE t")
    for row in rows:
        db.execute("INSERT INTO t VALUES (%s, %s, %s, %s)", row)
    return fingerprint_relation(db, T)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_fingerprints_are_equal_exactly_when_contents_are(db: Connection, data: st.DataObject) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS t (a bigint, b double precision, c text, d boolean)")
    rows = data.draw(ROWS)
    mark = load(db, rows)
    assert load(db, data.draw(st.permutations(rows))) == mark
    cut = data.draw(st.integers(0, len(rows)))
    assert load(db, rows[:cut]) + load(db, rows[cut:]) == mark
    others = data.draw(st.one_of(ROWS, st.permutations(rows).map(lambda r: r[:-1])))
    if rows:
        at, value = data.draw(st.integers(0, len(rows) - 1)), data.draw(VALUES)
        place = data.draw(st.integers(0, 3))
        changed = tuple(value[i] if i == place else v for i, v in enumerate(rows[at]))
        others = data.draw(st.sampled_from([others, [*rows[:at], changed, *rows[at + 1 :]]]))
    assert (load(db, others) == mark) is (as_compared(others) == as_compared(rows))


def test_the_scan_that_profiles_gives_the_same_fingerprint(db: Connection) -> None:
    db.execute("CREATE TABLE t AS SELECT i AS id, i::text AS s FROM generate_series(1, 1000) i")
    mark, profile = describe_relation(db, T, [Column("s", "text")], {})
    assert mark == fingerprint_relation(db, T)
    assert list(profile["columns"]) == ["s"]
    assert profile["rows"] == 1000
