"""First contracts from profiles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_draft import draft_contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import NotFoundError, SpecError

COLUMNS = [
    Column("id", "bigint"),
    Column("origin", "character varying(3)"),
    Column("delay", "integer"),
    Column("fare", "numeric(10,2)"),
    Column("at", "timestamp with time zone"),
    Column("note", "text"),
]
PROFILE = {
    "rows": 1234,
    "columns": {
        "id": {"nulls": 0, "min": 1, "max": 1234, "distinct": 1234},
        "origin": {"nulls": 0, "distinct": 3, "values": [["JFK", 600], ["NO", 34], ["EWR", 600]], "other": 0},
        "delay": {"nulls": 30, "min": -20, "max": 1301, "distinct": 400},
        "fare": {"nulls": 1200, "min": 0.5, "max": 99.25, "distinct": 30},
        "at": {"nulls": 0, "min": "2013-01-01T00:00:00+00:00", "max": "2013-12-31T00:00:00+00:00"},
        "note": {"nulls": 0, "distinct": 900, "values": [["a", 10]], "other": 1224, "sampled": 500},
    },
}
GOLDEN = """\
# A first contract, drafted from rides@3: 1,234 rows.
# Behind each line stands what was seen. Edit it until it says what you promise.
dataset: dataml/demo/public/rides

checks:
  - schema:  # these 6 columns and no other
      allow_other_column_order: true
  - row_count:
      threshold: {must_be_greater_than: 610}  # seen 1,234
  # - freshness:  # newest seen 2013-12-31T00:00:00+00:00
  #     column: at
  #     threshold: {unit: day, must_be_less_than: 2}

columns:
  - name: id
    data_type: bigint
    # seen 1 to 1234: a number that names something has no range
    checks:
      - missing:  # no null in 1,234 rows
      - duplicate:  # no value seen twice in 1,234 rows: a key?
  - name: origin
    data_type: character varying(3)
    checks:
      - missing:  # no null in 1,234 rows
      - invalid:  # 3 different values in 1,234 rows
          valid_values: [EWR, JFK, "NO"]
  - name: delay
    data_type: integer
    checks:
      - missing:
          threshold: {metric: percent, must_be_less_than: 4.7}  # 30 nulls of 1,234 rows (2.43 %)
      - invalid: {valid_min: -690, valid_max: 2000}  # seen -20 to 1301
  - name: fare
    data_type: "numeric(10,2)"
    # 1,200 nulls of 1,234 rows (97.2 %)
    checks:
      - invalid: {valid_min: 0, valid_max: 150}  # seen 0.5 to 99.25
  - name: at
    data_type: timestamp with time zone
    # seen 2013-01-01T00:00:00+00:00 to 2013-12-31T00:00:00+00:00
    checks:
      - missing:  # no null in 1,234 rows
  - name: note
    data_type: text
    # about 900 different values
    checks:
      - missing:  # no null in 1,234 rows

x-dataml:
  on_fail: reject  # or quarantine the rows at fault, or warn and publish
  require_rows: true
"""


def draft(columns=COLUMNS, profile=PROFILE, **given_):
    return draft_contract(dataset="dataml/demo/public/rides", columns=columns, profile=profile, **given_)


def one(type_, **seen):
    """The checks drafted for one column of a hundred rows."""
    text = draft([Column("x", type_)], {"rows": 100, "columns": {"x": {"nulls": 0} | seen}})
    column = Contract.from_text(text).document["columns"][0]
    return {name: body for check in column.get("checks", []) for name, body in check.items()}


def test_says_what_was_seen_and_leaves_room():
    assert draft(seen_in="rides@3") == GOLDEN


def test_given_keys_are_taken_and_no_other_is_guessed():
    contract = Contract.from_text(draft(keys=["origin", "at"]))
    assert [c.id for c in contract.checks if c.type == "duplicate"] == ["checks.duplicate"]
    assert Contract.from_text(draft(keys=["at"])).document["columns"][4]["checks"][1] == {"duplicate": None}


def test_a_key_that_is_no_column_is_named():
    with pytest.raises(NotFoundError, match=r"column 'orgin' does not exist. Did you mean 'origin'\?"):
        draft(keys=["orgin"])


def test_no_rows_and_no_profile_promise_columns_alone():
    contract = Contract.from_text(draft(profile={"rows": 0}))
    assert [check.type for check in contract.checks] == ["schema"]
    assert not contract.require_rows
    assert Contract.from_text(draft(profile={"rows": 5, "columns": {}})).require_rows


@pytest.mark.parametrize(
    ("type_", "seen", "expected"),
    [
        ("integer", {"min": 7, "max": 7}, None),
        ("integer", {"min": None, "max": None}, None),
        ("real", {"min": 0.1, "max": 0.9}, {"valid_min": 0, "valid_max": 1}),
        ("integer", {"min": -900, "max": -100}, {"valid_min": -1300, "valid_max": 0}),
        ("double precision", {"min": 1e100, "max": 2e100}, {"valid_min": 0, "valid_max": 2.5e100}),
        ("bigint", {"min": 1e15, "max": 1e15 + 1}, {"valid_min": 0, "valid_max": 1100000000000000}),
        ("double precision", {"min": 1, "max": 9, "nonfinite": 2}, None),
        ("text", {"distinct": 1, "values": [["${var.a}", 100]], "other": 0}, None),
        ("text", {"distinct": 1, "values": [["x" * 200, 100]], "other": 0}, None),
        ("text", {"distinct": 2, "values": [["a", 99], ["b", 1]], "other": 0, "sampled": 50}, None),
        ("text", {"distinct": 50, "values": [["a", 2]] * 50, "other": 0}, None),
        ("text", {"distinct": 2, "values": [["12", 50], ["null", 50]], "other": 0}, {"valid_values": ["12", "null"]}),
        ("uuid", {"distinct": 2, "values": [["a", 50], ["b", 50]], "other": 0}, None),
    ],
    ids=[
        "constant", "only nulls", "share", "negative", "huge", "rounding up", "not finite", "variable", "cut value",
        "sample", "many values", "quoted", "no text",
    ],
)  # fmt: skip
def test_bounds_only_where_they_make_sense(type_, seen, expected):
    assert one(type_, **seen).get("invalid") == expected


def test_nulls_that_are_no_nulls_in_the_table_do_not_count():
    assert one("double precision", nulls=3, nonfinite=3, min=1, max=2)["missing"] is None


def test_a_name_that_reads_as_a_variable_is_refused_with_the_remedy():
    with pytest.raises(SpecError, match="Rename the column"):
        draft([Column("${foo.bar}", "text")])


_NUMBERS = st.floats(min_value=-1e130, max_value=1e130, allow_nan=False, allow_subnormal=True)


@given(
    name=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00$"), min_size=1, max_size=20
    ),
    rows=st.integers(0, 10**9),
    share=st.floats(0, 1),
    bounds=st.lists(_NUMBERS, min_size=2, max_size=2).map(sorted),
    values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=14, unique=True),
)
@settings(max_examples=200, deadline=None)
def test_any_profile_drafts_a_contract_that_it_holds(name, rows, share, bounds, values):
    nulls = int(rows * share)
    columns = [Column(f"n{name}", "double precision"), Column(f"t{name}", "text")]
    numbers = {"nulls": nulls, "min": bounds[0], "max": bounds[1], "distinct": rows}
    texts = {"nulls": nulls, "distinct": len(values), "values": [[v, 9] for v in values], "other": 0}
    text = draft(columns, {"rows": rows, "columns": {columns[0].name: numbers, columns[1].name: texts}})
    contract = Contract.from_text(text)
    assert [c.name for c in contract.columns] == [c.name for c in columns]
    for check in contract.checks:
        if check.type == "row_count":
            assert check.body.threshold.must_be_greater_than < rows
        if check.type == "missing":
            limit = check.body.threshold.must_be_less_than if check.body.threshold else 1e-9
            assert 100 * nulls / rows < limit
        if check.type == "invalid" and check.column == columns[0].name:
            assert check.body.valid_min <= bounds[0] <= bounds[1] <= check.body.valid_max
        if check.type == "invalid" and check.column == columns[1].name:
            assert check.body.valid_values == sorted(values)
