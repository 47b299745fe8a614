"""Every check type of the contract language in every form it can be written in, and every threshold."""

from __future__ import annotations

import itertools
from typing import Any

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_yaml import write_yaml

Form = tuple[str, dict[str, Any]]
Forms = dict[str, list[Form]]

COLUMNS = [
    "id",
    "code",
    "km",
    "fare",
    "tip",
    "share",
    "part",
    "paid",
    "zone",
    "tag",
    "day",
    "at",
    "plain",
    "note",
    "order",
]
SETUP = """
CREATE TABLE zones (code text, "order" integer);
INSERT INTO zones VALUES ('A', 1), ('B', 2), (NULL, 3);
CREATE TABLE rides (
  id bigint NOT NULL, code text, km integer, fare numeric(8, 2), tip numeric, share double precision,
  part real, paid boolean, zone varchar(10), tag char(4), day date, at timestamptz, plain timestamp(3),
  note json, "order" text
);
INSERT INTO rides SELECT
  g / 2, CASE g % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'n/a' ELSE 'c' || g % 7 END,
  nullif(g % 11, 3), nullif((g * 37 % 1000) / 10.0, 5.5),
  CASE WHEN g % 3 = 0 THEN 1.0 WHEN g % 3 = 1 THEN 1.00 END,
  g / 7.0, (g / 3.0)::real, nullif(g % 3, 0) = 1,
  (ARRAY['A', 'B', 'Z', NULL])[1 + g % 4], (ARRAY['ab', 'cd  ', NULL])[1 + g % 3],
  date '2013-01-31' - g, timestamptz '2013-01-31 11:30+00' - g * interval '1 hour',
  timestamp '2013-01-31 11:00:00.5' - g * interval '1 day',
  CASE WHEN g % 2 = 0 THEN '{"a": 1}' END::json, CASE WHEN g % 4 = 0 THEN 'x''y' ELSE '5%' END
FROM generate_series(0, 59) g;
"""


def form(type_: str, /, **body: Any) -> Form:
    return type_, body


def contract(forms: Forms, *, keys: dict[str, dict[str, Any]] | None = None, **root: Any) -> Contract:
    """A contract of many checks, each told apart by its number.

    :param forms: column, or ``""`` for the dataset, -> its checks.
    :param keys: further keys of columns.
    """
    numbers = itertools.count()
    checks = {
        column: [{name: {"qualifier": f"n{next(numbers)}", **body}} for name, body in written]
        for column, written in forms.items()
    }
    columns = [
        {"name": name} | (keys or {}).get(name, {}) | ({"checks": checks[name]} if name in checks else {})
        for name in dict.fromkeys([*COLUMNS, *(column for column in forms if column)])
    ]
    document = {"dataset": "w/demo/public/rides", "columns": columns, **root}
    return Contract.from_text(write_yaml(document | ({"checks": checks[""]} if "" in checks else {})))


def regex(text: str) -> dict[str, str]:
    return {"regex": text, "name": "a pattern"}


def _range(low: float, high: float, *, inclusive: bool = False) -> dict[str, float]:
    tail = "_or_equal" if inclusive else ""
    return {f"greater_than{tail}": low, f"less_than{tail}": high}


# Twelve of the sixty codes are missing.
THRESHOLDS: list[dict[str, Any]] = [
    {"must_be": 12}, {"must_be": 0}, {"must_not_be": 12}, {"must_not_be": 11},
    {"must_be_greater_than": 11}, {"must_be_greater_than": 12}, {"must_be_greater_than_or_equal": 12},
    {"must_be_less_than": 12}, {"must_be_less_than": 12.5}, {"must_be_less_than_or_equal": 12},
    {"must_be_between": _range(11, 13)}, {"must_be_between": _range(12, 13)},
    {"must_be_between": _range(12, 12.5, inclusive=True)}, {"must_be_between": {"greater_than": 11, "less_than_or_equal": 12}},
    {"must_be_not_between": _range(13, 11)}, {"must_be_not_between": _range(11, 5)},
    {"must_be_not_between": _range(20, 12, inclusive=True)},
    {"must_be": 1, "level": "warn"}, {"must_be": 12, "level": "warn"}, {"level": "warn"},
    {"metric": "percent"}, {"metric": "count"}, {"metric": "percent", "level": "warn"},
    {"metric": "percent", "must_be_less_than": 20}, {"metric": "percent", "must_be_less_than_or_equal": 20},
    {"must_be": 12, "additional": {"must_be_greater_than": 12, "level": "warn"}},
    {"must_be": 11, "additional": {"must_be": 12, "level": "warn"}},
    {"must_be": 11, "level": "warn", "additional": {"must_be": 12}},
    {"must_be": 12, "level": "warn", "additional": {"must_be": 11}},
    {"must_be": 12, "level": "warn", "additional": {"must_be": 12, "level": "fail"}},
    {"must_be_between": _range(11, 13), "additional": {"must_be_not_between": _range(20, 5), "level": "warn"}},
]  # fmt: skip

ZONES = {"dataset": "w/demo/public/zones", "column": "code"}
_AGGREGATES = ("avg", "min", "max", "sum")


def aggregate(function: str, threshold: float = 1, **body: Any) -> Form:
    return form("aggregate", function=function, threshold={"must_be_greater_than": threshold}, **body)


MISSING: Forms = {
    "code": [
        form("missing"), form("missing", missing_values=["", "n/a"]), form("missing", missing_format=regex("^(n/a|)$")),
        form("missing", missing_values=["c3"], missing_format=regex("^$")), form("missing", filter="id > 10"),
        form("missing", filter="id > 10 OR km = 2"), form("missing", column_expression="nullif(code, 'c1')"),
        form("missing", filter="1 = 0"), form("missing", filter="1 = 0", threshold={"metric": "percent"}),
    ],
    "km": [form("missing", missing_values=[1, 2]), form("missing")],
    "at": [form("missing")], "id": [form("missing"), form("missing", missing_values=[3])], "note": [form("missing")],
    "order": [form("missing", missing_values=["x'y"])],
}  # fmt: skip
INVALID: Forms = {
    "code": [
        form("invalid", valid_values=["c1", "c2"]), form("invalid", invalid_values=["c1"]),
        form("invalid", valid_format=regex(r"^c\d$")), form("invalid", invalid_format=regex("c[12]")),
        form("invalid", valid_length=2), form("invalid", valid_min_length=1), form("invalid", valid_max_length=2),
        form("invalid", valid_max_length=2, missing_values=["n/a"]),
        form("invalid", valid_values=["c1"], valid_format=regex("^c"), missing_format=regex("^$")),
        form("invalid", valid_values=["c1"], filter="id > 3", threshold={"metric": "percent", "must_be_less_than": 60}),
        form("invalid", valid_values=["C1", "C2"], column_expression="upper(code)"),
    ],
    "km": [
        form("invalid", valid_min=2), form("invalid", valid_max=7.5), form("invalid", valid_min=2, valid_max=7, missing_values=[0]),
        form("invalid", valid_values=[1, 2, 3]), form("invalid", valid_min=-1, invalid_values=[4]),
    ],
    "fare": [form("invalid", valid_min=0.05, valid_max=99)], "share": [form("invalid", valid_max=4)],
    "paid": [form("invalid", valid_values=[True])],
    "tag": [form("invalid", valid_values=["ab"]), form("invalid", valid_length=2)],
    "order": [form("invalid", valid_values=["5%"]), form("invalid", invalid_format=regex("'"))],
}  # fmt: skip
REFERENCE: Forms = {
    "zone": [
        form("invalid", valid_reference_data=ZONES), form("invalid", valid_reference_data=ZONES, missing_values=["Z"]),
        form("invalid", valid_reference_data=ZONES, filter="km > 3", threshold={"metric": "percent"}),
        form("invalid", valid_reference_data=ZONES, invalid_values=["A"]),
    ],
    "paid": [form("invalid", column_expression="substr(zone, 1)", valid_reference_data=ZONES)],
}  # fmt: skip
DUPLICATE: Forms = {
    "id": [
        form("duplicate"), form("duplicate", threshold={"metric": "percent", "must_be_less_than": 50}),
        form("duplicate", filter="km > 3"),
    ],
    "code": [
        form("duplicate"), form("duplicate", missing_values=[""]), form("duplicate", column_expression="lower(code)"),
        form("duplicate", filter="1 = 0", threshold={"metric": "percent"}),
    ],
    "tip": [form("duplicate")], "share": [form("duplicate")], "tag": [form("duplicate")], "at": [form("duplicate")],
    "": [
        form("duplicate", columns=["id"]), form("duplicate", columns=["id", "code"]), form("duplicate", columns=["tip", "paid"]),
        form("duplicate", columns=["code", "zone"], filter="km > 3"), form("duplicate", columns=["share", "part", "note"]),
        form("duplicate", columns=["order", "tag"], threshold={"metric": "percent", "must_be_less_than": 95}),
        form("duplicate", columns=["at", "plain", "day"]),
    ],
}  # fmt: skip
AGGREGATE: Forms = {
    "km": [
        *(aggregate(function, 3) for function in _AGGREGATES), aggregate("avg", valid_min=2), aggregate("sum", missing_values=[1]),
        aggregate("avg", filter="id > 3 OR id = 1"), aggregate("max", column_expression="km * 1.5"), aggregate("avg", filter="1 = 0"),
    ],
    "fare": [aggregate(function, 50) for function in _AGGREGATES],
    "tip": [aggregate("avg"), aggregate("sum")],
    "share": [aggregate(function) for function in _AGGREGATES],
    "part": [aggregate("min"), aggregate("max")],
    "code": [
        *(aggregate(f"{function}_length") for function in ("avg", "min", "max")),
        aggregate("avg_length", valid_min_length=1, missing_values=["c3"]),
        aggregate("max", column_expression="substr(code, 2)", valid_format=regex("^[0-9]$")),
    ],
}  # fmt: skip
ROWS: Forms = {
    "": [
        form("row_count"), form("row_count", filter="km > 5"), form("row_count", filter="1 = 0"),
        form("row_count", threshold={"must_be": 60, "level": "warn"}), form("schema"), form("schema", allow_extra_columns=True),
    ],
}  # fmt: skip
METRIC: Forms = {
    "": [
        form("metric", expression="max(km) - min(km)", threshold={"must_be": 10}),
        form("metric", expression="stddev(fare)", threshold={"must_be_less_than": 30}),
        form("metric", expression="count(*)", threshold={"must_be": 60}),
        form("metric", expression="bool_or(paid)", threshold={"must_be": 1}),
        form("metric", expression="max(km)::text", threshold={"must_be": 10}),
        form("metric", query="SELECT avg(fare) FROM rides", threshold={"must_be_less_than": 50}),
        form("metric", query="SELECT 0.5::numeric", threshold={"must_be": 0.5}),
        form("metric", query="SELECT '7'", threshold={"must_be": 7}),
        form("metric", query="SELECT true", threshold={"must_be": 1}),
        form("metric", query="SELECT g FROM generate_series(3, 5) g ORDER BY g DESC;", threshold={"must_be": 5}),
        form("metric", query="SELECT 1 AS a, 2 AS a -- two", threshold={"must_be": 1}),
    ],
    "km": [form("metric", expression="sum(km) / count(id)", threshold={"must_be": 4})],
}  # fmt: skip
FRESHNESS: Forms = {
    "": [
        *(
            form("freshness", column=column, threshold={"unit": unit, "must_be_less_than": 2})
            for column in ("at", "plain", "day")
            for unit in ("minute", "hour", "day")
        ),
        form("freshness", column="at", filter="km > 5", threshold={"must_be_less_than": 5}),
        form("freshness", column="at", column_expression="at + interval '2 hours'", threshold={"must_be_less_than": 0}),
        form("freshness", column="order", column_expression="day::text", threshold={"must_be_less_than": 9}),
    ],
}  # fmt: skip
FAILED_ROWS: Forms = {
    "": [
        form("failed_rows", expression="km > 7"), form("failed_rows", expression="km > 7 OR code IS NULL", filter="id > 3 OR id = 1"),
        form("failed_rows", expression="km > 7", threshold={"metric": "percent", "must_be_less_than": 50}),
        form("failed_rows", query="SELECT * FROM rides WHERE km > 7"),
        form("failed_rows", query="SELECT id FROM rides r JOIN zones z ON z.code = r.zone", threshold={"must_be": 30}),
        form("failed_rows", query="SELECT 1 FROM rides WHERE km > 7", rows_tested_query="SELECT count(*) FROM rides",
             threshold={"metric": "percent", "must_be_less_than": 30}),
        form("failed_rows", query="SELECT 1 FROM rides", rows_tested_query="SELECT 0", threshold={"metric": "percent"}),
        form("failed_rows", keys_query="SELECT id FROM rides WHERE km > 7;"),
    ],
    "km": [form("failed_rows", expression="km > 6")],
}  # fmt: skip
ALL: dict[str, Forms] = {
    "missing": MISSING,
    "invalid": INVALID,
    "reference": REFERENCE,
    "duplicate": DUPLICATE,
    "aggregate": AGGREGATE,
    "row_count and schema": ROWS,
    "metric": METRIC,
    "freshness": FRESHNESS,
    "failed_rows": FAILED_ROWS,
}
