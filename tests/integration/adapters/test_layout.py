"""What a layout declares is done to parts and views, and what people gave a view stays with it."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.layout import (
    default_columns,
    dress_part,
    dress_view,
    remember_view,
    restore_view,
    unprotect_part,
    view_options,
)
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.layout import Grant, Index, Layout
from airflow_dataml.core.refs import Relation
from tests.integration.catalog_dump import dump

PART = Relation("dataml_data", "rides_1")
VIEW = Relation("public", "rides")
COLUMNS = (Column("id", "integer"), Column("kind", "text"), Column("km", "double precision"))
LAYOUT = Layout(
    keys=("id",),
    indexes=(
        Index(columns=("kind",), where="km > 0"),
        Index(columns=("kind",), method="hash"),
        Index(columns=("kind",), definition="USING btree (lower(kind) text_pattern_ops)"),
    ),
    defaults={"km": "0"},
    comment="it's rides",
    column_comments={"km": "length", "gone": "never there"},
)


@pytest.fixture
def db(ledger):
    ledger.connection.execute(
        "CREATE TABLE dataml_data.rides_1 (id int, kind text, km float); INSERT INTO dataml_data.rides_1 VALUES (1, 'a', 2)"
    )
    return ledger.connection


@pytest.fixture
def view(db):
    db.execute("CREATE VIEW rides AS SELECT * FROM dataml_data.rides_1")
    return VIEW


@pytest.fixture
def role(db):
    """A role of this test's own."""
    name = f"reader of {db.raw.info.dbname}"
    db.execute(f'CREATE ROLE "{name}"')
    yield name
    db.execute(f'DROP OWNED BY "{name}" CASCADE; DROP ROLE "{name}"')


def indexes_of(db, relation=PART):
    return [row[0].partition(" ON ")[2] for row in dump(db.raw, relation)["indexes"]]


class TestPart:
    def test_indexes_are_built_once(self, db):
        for _ in range(2):
            dress_part(db, PART, LAYOUT, COLUMNS)
        assert sorted(indexes_of(db)) == [
            "dataml_data.rides_1 USING btree (id)",
            "dataml_data.rides_1 USING btree (kind) WHERE (km > (0)::double precision)",
            "dataml_data.rides_1 USING btree (lower(kind) text_pattern_ops)",
            "dataml_data.rides_1 USING hash (kind)",
        ]

    @pytest.mark.parametrize(
        "statement", ["INSERT INTO {} VALUES (2)", "UPDATE {} SET id = 3", "DELETE FROM {}", "DELETE FROM {} WHERE false", "TRUNCATE {}"]
    )  # fmt: skip
    def test_a_part_is_immutable(self, db, statement):
        dress_part(db, PART, Layout(), COLUMNS)
        with pytest.raises(SpecError, match=r"rides_1 is a part of published versions and cannot be changed"):
            db.execute(statement.format(PART.quoted))
        unprotect_part(db, PART)
        db.execute(statement.format(PART.quoted))

    def test_the_planner_knows_it(self, db):
        dress_part(db, PART, Layout(), COLUMNS)
        assert db.scalar("SELECT count(*) FROM pg_stats WHERE tablename = 'rides_1'") == 3

    def test_keys_that_are_none_are_refused(self, db):
        db.execute("INSERT INTO dataml_data.rides_1 VALUES (1, 'b', 3)")
        with pytest.raises(GateError, match=r"not unique by \(id\): Key \(id\)=\(1\) is duplicated"):
            dress_part(db, PART, LAYOUT, COLUMNS)

    def test_an_index_over_a_column_it_lacks_is_left_out(self, db):
        dress_part(db, PART, Layout(indexes=[Index(columns=("later",))]), COLUMNS)
        assert indexes_of(db) == []

    def test_hostile_names(self, db):
        hostile = Relation("dataml_data", 'a";--' + "é" * 29)
        db.execute(f'CREATE TABLE {hostile.quoted} ("select ""x""" int, "%s" text)')
        layout = Layout(keys=('select "x"',), indexes=[Index(columns=("%s",), where="\"%s\" <> '%s;'")])
        dress_part(db, hostile, layout, columns_of(db, hostile))
        assert len(indexes_of(db, hostile)) == 2


class TestDefaults:
    def test_a_batch_gets_the_columns_it_lacks(self, db):
        db.execute("CREATE SEQUENCE s; INSERT INTO dataml_data.rides_1 VALUES (2)")
        layout = Layout(defaults={"km": "7", "n": "nextval('s')", "word": "'x'", "at": "now()"})
        assert default_columns(db, PART, layout, (Column("n", "integer"),)) == ("n", "word", "at")
        found = {c.name: c.type for c in columns_of(db, PART)}
        assert (found["n"], found["word"], found["at"]) == ("integer", "text", "timestamp with time zone")
        rows = db.rows(f"SELECT n, word, km FROM {PART.quoted} ORDER BY n")
        assert rows == [{"n": 1, "word": "x", "km": 2.0}, {"n": 2, "word": "x", "km": None}]
        assert not any(column[8] for column in dump(db.raw, PART)["columns"])

    def test_an_expression_that_is_none(self, db):
        with pytest.raises(SpecError, match="does not understand"):
            default_columns(db, PART, Layout(defaults={"n": "nosuch()"}))


class TestView:
    def test_it_is_presented_as_declared(self, db, view, role):
        layout = LAYOUT.model_copy(
            update={"grants": (Grant(role=role, grantable=True), Grant(role="PUBLIC"))}
        )
        dress_view(db, view, layout)
        found = dump(db.raw, view)
        assert found["relation"][0][-1] == "it's rides"
        assert [(c[0], c[8], c[9]) for c in found["columns"]][2] == ("km", "0", "length")
        rights = {row[1:] for row in found["rights"]}
        assert {(f'"{role}"', "SELECT", True), ("-", "SELECT", False)} <= rights

    def test_a_second_time_changes_nothing(self, db, view, role):
        layout = LAYOUT.model_copy(update={"grants": (Grant(role=role),)})
        dress_view(db, view, layout)
        catalogs = "SELECT max(xmin::text::bigint) FROM (SELECT xmin FROM pg_class UNION ALL SELECT xmin FROM pg_description UNION ALL SELECT xmin FROM pg_attrdef UNION ALL SELECT xmin FROM pg_trigger) t"
        before = db.scalar(catalogs)
        dress_view(db, view, layout)
        assert db.scalar(catalogs) == before

    def test_what_was_granted_by_hand_stays(self, db, view, role):
        db.execute(f"GRANT SELECT (km) ON rides TO \"{role}\"; COMMENT ON VIEW rides IS 'by hand'")
        dress_view(db, view, Layout())
        found = dump(db.raw, view)
        assert (found["column rights"][0][0], found["relation"][0][-1]) == ("km", "by hand")

    def test_writers_are_told(self, db, view):
        dress_view(db, view, Layout())
        with pytest.raises(SpecError, match=r"public\.rides is a part of published versions"):
            db.execute("INSERT INTO rides VALUES (1)")

    def test_its_owner_may_read_its_parts(self, db, view, role):
        db.execute(f'GRANT CREATE ON SCHEMA public TO "{role}"; ALTER VIEW rides OWNER TO "{role}"')
        dress_view(db, view, Layout())
        db.execute(f'SET ROLE "{role}"')
        assert db.scalar("SELECT count(*) FROM rides") == 1
        db.execute("RESET ROLE")

    def test_options_are_said_again(self, db, view):
        assert view_options(db, view) == ""
        db.execute("ALTER VIEW rides SET (security_barrier)")
        assert view_options(db, view) == " WITH (security_barrier=true)"
        assert view_options(db, Relation("public", "none")) == ""


def remake(db, query):
    """Drop a view and make it anew with another query, as publication does for another schema."""
    with db.transaction():
        state = remember_view(db, VIEW)
        db.execute(f"DROP VIEW rides CASCADE; CREATE VIEW rides AS {query}")
        restore_view(db, VIEW, state)


class TestRemember:
    def test_everything_people_gave_it_is_there_again(self, db, view, role):
        db.execute(f"""
            GRANT SELECT ON dataml_data.rides_1 TO "{role}";
            GRANT SELECT ON rides TO "{role}" WITH GRANT OPTION; GRANT SELECT (id), UPDATE (km) ON rides TO "{role}";
            GRANT USAGE, CREATE ON SCHEMA public TO "{role}";
            SET ROLE "{role}"; GRANT SELECT ON rides TO PUBLIC; RESET ROLE;
            COMMENT ON VIEW rides IS 'words'; COMMENT ON COLUMN rides.km IS 'length';
            ALTER VIEW rides SET (security_barrier); ALTER VIEW rides ALTER km SET DEFAULT 3;
            CREATE RULE quiet AS ON DELETE TO rides DO INSTEAD NOTHING;
            CREATE TRIGGER t INSTEAD OF INSERT ON rides FOR EACH ROW EXECUTE FUNCTION dataml.part_refuse();
            CREATE VIEW far WITH (security_barrier) AS SELECT * FROM rides WHERE km > 1;
            CREATE VIEW pair AS SELECT f.id, r.km FROM far f JOIN rides r USING (id);
            CREATE VIEW top AS SELECT b.id FROM pair b, far, rides;
            COMMENT ON VIEW pair IS 'two'; COMMENT ON COLUMN top.id IS 'the id'; GRANT SELECT ON far, pair TO "{role}";
            ALTER VIEW top OWNER TO "{role}"; ALTER VIEW rides OWNER TO "{role}"
        """)
        names = [Relation("public", name) for name in ("rides", "far", "pair", "top")]
        before = [dump(db.raw, name) for name in names]
        remake(db, "SELECT id, kind, km FROM dataml_data.rides_1")
        assert [dump(db.raw, name) for name in names] == before

    def test_what_belonged_to_a_column_goes_with_it(self, db, view, role):
        db.execute(
            f"GRANT SELECT (kind, km) ON rides TO \"{role}\"; COMMENT ON COLUMN rides.kind IS 'k'; CREATE VIEW far AS SELECT km FROM rides"
        )
        remake(db, "SELECT km, id FROM dataml_data.rides_1")
        found = dump(db.raw, VIEW)
        assert [row[0] for row in found["column rights"]] == ["km"]
        assert db.scalar("SELECT km FROM far") == 2.0

    def test_a_view_that_reads_a_lost_column_is_named_and_nothing_is_changed(self, db, view):
        db.execute("CREATE VIEW far AS SELECT km FROM rides")
        before = dump(db.raw, VIEW)
        with pytest.raises(
            SpecError, match=r"view public\.far reads public\.rides and does not fit it any more .*km"
        ):
            remake(db, "SELECT id FROM dataml_data.rides_1")
        assert dump(db.raw, VIEW) == before

    @pytest.mark.parametrize(
        ("statement", "named"),
        [
            ("CREATE MATERIALIZED VIEW m AS SELECT * FROM rides", "materialized view public.m"),
            ("CREATE VIEW v AS SELECT * FROM rides; CREATE MATERIALIZED VIEW m AS SELECT * FROM v", "materialized view public.m"),
            ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM rides; END", r"function public.f\(\)"),
            ("CREATE TABLE t (r rides)", r"column r of table public.t \(by its row type\)"),
            ("CREATE FUNCTION f(rides) RETURNS int LANGUAGE sql AS 'SELECT 1'", "by its row type"),
            ("CREATE TABLE t (i int); CREATE RULE r AS ON INSERT TO t DO ALSO SELECT * FROM rides", "rule on public.t"),
            ("CREATE TABLE t (i int); CREATE POLICY p ON t USING (EXISTS (SELECT FROM rides))", "policy p on table public.t"),
            ("CREATE TEMP VIEW tv AS SELECT * FROM rides", "view pg_temp"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_made_anew_is_listed(self, db, view, statement, named):
        db.execute(statement)
        with pytest.raises(SpecError, match=f"is read by .*{named}.*Nothing was changed"):
            remember_view(db, VIEW)

    def test_one_that_is_not_there(self, db):
        with pytest.raises(SpecError, match="it is not there"):
            remember_view(db, VIEW)

    def test_the_session_keeps_its_search_path(self, db, view):
        db.execute("SET search_path = dataml, public")
        remember_view(db, VIEW)
        assert db.scalar("SHOW search_path") == "dataml, public"
