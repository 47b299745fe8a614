"""Statements whose column lineage is known by hand; the server's analysis and the parser both have to find it."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMAS = {
    "public.t": {"a": "integer", "b": "text", "c": "integer"},
    "public.s": {"a": "integer", "d": "text", "e": "integer"},
    "public.u": {"a": "integer", "b": "text", "f": "integer"},
    "other.t": {"x": "integer", "a": "integer"},
    'public.Odd "one': {"A b": "integer", "select": "text"},
}
TABLES = """
CREATE SCHEMA other;
CREATE TABLE public.t (a integer PRIMARY KEY, b text, c integer);
CREATE TABLE public.s (a integer, d text, e integer);
CREATE TABLE public.u (a integer, b text, f integer);
CREATE TABLE other.t (x integer, a integer);
CREATE TABLE public."Odd ""one" ("A b" integer, "select" text);
"""


@dataclass(frozen=True)
class Case:
    """A statement; ``t.a`` is a value, ``t.a:join`` decides; ``*`` are the rows."""

    id: str
    sql: str
    outputs: dict[str, str]
    rows: str = ""
    inputs: str = "t"
    target: str | None = None
    statement: str = "select"


CASES = (
    Case("columns", "SELECT a, b AS name FROM t", {"a": "t.a", "name": "t.b"}),
    Case("expression", "SELECT a + c * 2 AS n FROM t", {"n": "t.a t.c"}),
    Case("star", "SELECT * FROM t", {"a": "t.a", "b": "t.b", "c": "t.c"}),
    Case("star-of-two", "SELECT s.*, t.c FROM t, s", {"a": "s.a", "d": "s.d", "e": "s.e", "c": "t.c"}, inputs="s t"),
    Case("schema", "SELECT x FROM other.t", {"x": "other.t.x"}, inputs="other.t"),
    Case("quoted", 'SELECT "A b" AS "N" FROM "Odd ""one"', {"N": 'Odd "one.A b'.replace(" ", "~")}, inputs='Odd~"one'),
    Case("alias-columns", "SELECT p + q AS n FROM t AS x (p, r, q)", {"n": "t.a t.c"}),
    Case("filter", "SELECT a FROM t WHERE c > 1 AND b LIKE 'x%'", {"a": "t.a"}, "t.b:filter t.c:filter"),
    Case(
        "join", "SELECT t.b, s.d FROM t JOIN s ON t.a = s.a", {"b": "t.b", "d": "s.d"}, "s.a:join t.a:join", "s t"
    ),
    Case("using", "SELECT a, d FROM t JOIN s USING (a)", {"a": "t.a", "d": "s.d"}, "s.a:join t.a:join", "s t"),
    Case("using-left", "SELECT a FROM t LEFT JOIN s USING (a)", {"a": "t.a"}, "s.a:join t.a:join", "s t"),
    Case("using-right", "SELECT a FROM t RIGHT JOIN s USING (a)", {"a": "s.a"}, "s.a:join t.a:join", "s t"),
    Case("using-full", "SELECT a FROM t FULL JOIN s USING (a)", {"a": "s.a t.a"}, "s.a:join t.a:join", "s t"),
    Case(
        "using-star",
        "SELECT * FROM t JOIN s USING (a)",
        {"a": "t.a", "b": "t.b", "c": "t.c", "d": "s.d", "e": "s.e"},
        "s.a:join t.a:join",
        "s t",
    ),
    Case(
        "natural",
        "SELECT a, f FROM t NATURAL JOIN u",
        {"a": "t.a", "f": "u.f"},
        "t.a:join t.b:join u.a:join u.b:join",
        "t u",
    ),
    Case(
        "using-after-comma",
        "SELECT d FROM u, t JOIN s USING (a)",
        {"d": "s.d"},
        "s.a:join t.a:join",
        "s t u",
    ),
    Case("group", "SELECT b, sum(c) AS n FROM t GROUP BY b", {"b": "t.b", "n": "t.c"}, "t.b:group"),
    Case("group-position", "SELECT lower(b), count(*) FROM t GROUP BY 1", {"lower": "t.b", "count": ""}, "t.b:group"),
    Case("group-alias", "SELECT a + 1 AS z FROM t GROUP BY z", {"z": "t.a"}, "t.a:group"),
    Case("rollup", "SELECT b, c FROM t GROUP BY ROLLUP (b, c)", {"b": "t.b", "c": "t.c"}, "t.b:group t.c:group"),
    Case("having", "SELECT b FROM t GROUP BY b HAVING max(c) > 1", {"b": "t.b"}, "t.b:group t.c:filter"),
    Case("distinct", "SELECT DISTINCT b FROM t", {"b": "t.b"}, "t.b:group"),
    Case("distinct-on", "SELECT DISTINCT ON (b) a FROM t ORDER BY b, c", {"a": "t.a"}, "t.b:group t.b:sort t.c:sort"),
    Case("order-alias", "SELECT c AS a FROM t ORDER BY a", {"a": "t.c"}, "t.c:sort"),
    Case("order-input", "SELECT c AS a FROM t ORDER BY t.a", {"a": "t.c"}, "t.a:sort"),
    Case("case", "SELECT CASE WHEN b = 'x' THEN a ELSE c END AS n FROM t", {"n": "t.a t.c t.b:condition"}),
    Case("case-operand", "SELECT CASE b WHEN 'x' THEN a END AS n FROM t", {"n": "t.a t.b:condition"}),
    Case("agg-filter", "SELECT count(a) FILTER (WHERE c > 1) AS n FROM t", {"n": "t.a t.c:condition"}),
    Case("agg-order", "SELECT array_agg(a ORDER BY c) AS n FROM t", {"n": "t.a t.c:sort"}),
    Case("ordered-set", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY c) AS n FROM t", {"n": "t.c"}),
    Case(
        "window",
        "SELECT sum(c) OVER (PARTITION BY b ORDER BY a) AS n FROM t",
        {"n": "t.c t.b:window t.a:window"},
    ),
    Case(
        "named-window",
        "SELECT sum(c) OVER (w ORDER BY a) AS n FROM t WINDOW w AS (PARTITION BY b)",
        {"n": "t.c t.b:window t.a:window"},
    ),
    Case(
        "derived",
        "SELECT q.n FROM (SELECT a + c AS n, b FROM t WHERE c > 0) AS q WHERE q.b = 'x'",
        {"n": "t.a t.c"},
        "t.c:filter t.b:filter",
    ),
    Case("cte", "WITH q AS (SELECT c AS n FROM t) SELECT n + 1 AS m FROM q", {"m": "t.c"}),
    Case("cte-unread", "WITH q AS (SELECT * FROM s) SELECT a FROM t", {"a": "t.a"}),
    Case("cte-shadows", "WITH t AS (SELECT e AS a FROM s) SELECT a FROM t", {"a": "s.e"}, inputs="s"),
    Case("cte-columns", "WITH q (n, m) AS (SELECT a, b FROM t) SELECT m FROM q", {"m": "t.b"}),
    Case(
        "recursive",
        "WITH RECURSIVE r (n, k) AS (SELECT a, 0 FROM t UNION ALL SELECT r.n + s.e, s.a FROM r JOIN s ON s.a = r.n)"
        " SELECT n, k FROM r",
        {"n": "t.a s.e", "k": "s.a"},
        "s.a:join t.a:join s.e:join",
        "s t",
    ),
    Case("union", "SELECT a FROM t UNION ALL SELECT e FROM s", {"a": "t.a s.e"}, inputs="s t"),
    Case(
        "union-order",
        "SELECT a AS n FROM t UNION SELECT e FROM s ORDER BY n",
        {"n": "t.a s.e"},
        "t.a:sort s.e:sort",
        "s t",
    ),
    Case("intersect", "SELECT a FROM t INTERSECT SELECT a FROM s", {"a": "t.a s.a"}, inputs="s t"),
    Case("except", "SELECT a FROM t EXCEPT SELECT a FROM s", {"a": "t.a s.a:filter"}, inputs="s t"),
    Case(
        "scalar-subquery",
        "SELECT (SELECT max(e) FROM s WHERE s.a = t.a) AS n FROM t",
        {"n": "s.e s.a:filter t.a:filter"},
        inputs="s t",
    ),
    Case(
        "in", "SELECT b FROM t WHERE a IN (SELECT a FROM s)", {"b": "t.b"}, "t.a:filter s.a:filter", "s t"
    ),
    Case(
        "exists",
        "SELECT b FROM t WHERE EXISTS (SELECT d FROM s WHERE s.a = t.a)",
        {"b": "t.b"},
        "t.a:filter s.a:filter",
        "s t",
    ),
    Case(
        "lateral",
        "SELECT l.n FROM t, LATERAL (SELECT s.e + t.c AS n FROM s WHERE s.a = t.a) AS l",
        {"n": "s.e t.c"},
        "s.a:filter t.a:filter",
        "s t",
    ),
    Case("function-in-from", "SELECT w FROM t, unnest(string_to_array(t.b, ',')) AS w", {"w": "t.b"}),
    Case("whole-row", "SELECT row_to_json(t) AS j FROM t", {"j": "t.a t.b t.c"}),
    Case("values", "SELECT v.n, t.a FROM t, (VALUES (1), (2)) AS v (n)", {"n": "", "a": "t.a"}),
    Case("nested-join", "SELECT c, f FROM (t JOIN s USING (a)) JOIN u ON u.a = s.e", {"c": "t.c", "f": "u.f"},
         "t.a:join s.a:join u.a:join s.e:join", "s t u"),
    Case("system-column", "SELECT ctid, a FROM t", {"ctid": "", "a": "t.a"}),
    Case("insert", "INSERT INTO s (d, a) SELECT b, a + c FROM t", {"d": "t.b", "a": "t.a t.c"}, target="s",
         statement="insert"),
    Case("insert-all", "INSERT INTO s SELECT c, b FROM t WHERE a > 1", {"a": "t.c", "d": "t.b"}, "t.a:filter",
         target="s", statement="insert"),
    Case("insert-values", "INSERT INTO s VALUES (1, 'x', 2)", {"a": "", "d": "", "e": ""}, inputs="", target="s",
         statement="insert"),
    Case("insert-with", "WITH q AS (SELECT c FROM t) INSERT INTO s (a) SELECT c FROM q", {"a": "t.c"}, target="s",
         statement="insert"),
    Case("insert-conflict", "INSERT INTO t SELECT a, d, e FROM s ON CONFLICT (a) DO UPDATE SET b = t.b || excluded.b"
         " WHERE t.c < excluded.c", {"a": "s.a", "b": "s.d t.b", "c": "s.e"}, "t.c:filter s.e:filter", "s t", "t",
         "insert"),
    Case("insert-nothing", "INSERT INTO t (a) SELECT a FROM s ON CONFLICT DO NOTHING", {"a": "s.a"}, inputs="s",
         target="t", statement="insert"),
    Case("create", "CREATE TABLE n AS SELECT a AS k, b FROM t", {"k": "t.a", "b": "t.b"}, target="n",
         statement="create"),
    Case("create-columns", "CREATE TABLE n (k) AS SELECT c FROM t WITH NO DATA", {"k": "t.c"}, target="n",
         statement="create"),
    Case("view", "CREATE OR REPLACE VIEW n AS SELECT a FROM t", {"a": "t.a"}, target="n", statement="create"),
    Case("update", "UPDATE t SET b = upper(b), c = 1 WHERE a = 2", {"b": "t.b", "c": ""}, "t.a:filter", target="t",
         statement="update"),
    Case("update-from", "UPDATE t AS x SET b = s.d FROM s WHERE s.a = x.a", {"b": "s.d"}, "s.a:filter t.a:filter",
         "s t", "t", "update"),
    Case("update-tuple", "UPDATE t SET (b, c) = (SELECT d, e FROM s WHERE s.a = t.a)",
         {"b": "s.d s.a:filter t.a:filter", "c": "s.e s.a:filter t.a:filter"}, "", "s t", "t", "update"),
    Case("delete", "DELETE FROM t USING s WHERE s.a = t.a AND s.e > 1", {}, "s.a:filter s.e:filter t.a:filter", "s t",
         "t", "delete"),
    Case("merge", "MERGE INTO t USING (SELECT a, d FROM s WHERE e > 0) AS n ON n.a = t.a WHEN MATCHED AND t.c > 1 THEN"
         " UPDATE SET b = n.d || t.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (n.a, n.d)",
         {"b": "s.d t.b", "a": "s.a"}, "s.a:join t.a:join t.c:filter s.e:filter", "s t", "t", "merge"),
    Case("merge-delete", "MERGE INTO t USING s ON s.a = t.a WHEN MATCHED THEN DELETE", {}, "s.a:join t.a:join", "s t",
         "t", "merge"),
    Case("truncate", "TRUNCATE t", {}, inputs="", target="t", statement="delete"),
    Case("copy-in", "COPY t (a, b) FROM STDIN", {}, inputs="", target="t", statement="copy"),
    Case("copy-out", "COPY t (b, a) TO STDOUT", {"b": "t.b", "a": "t.a"}, statement="copy"),
    Case("copy-query", "COPY (SELECT c AS n FROM t) TO STDOUT", {"n": "t.c"}, statement="copy"),
)  # fmt: skip


def flows(text: str) -> set[tuple[str, str, str]]:
    """Read ``t.a t.b:join`` as (relation, column, how)."""
    found = set()
    for word in text.split():
        name, _, via = word.partition(":")
        relation, _, column = name.replace("~", " ").rpartition(".")
        found.add((qualified(relation), column, via or "value"))
    return found


def qualified(relation: str) -> str:
    """Put the default schema in front."""
    return relation if relation.startswith("other.") else f"public.{relation}"
