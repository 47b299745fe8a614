"""What a change of a contract means to those who read the data and those who write it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_diff import diff_contracts
from airflow_dataml.core.contract_regions import Region, region_of
from airflow_dataml.core.contract_rules import Comparison

NEITHER, LOOSER, TIGHTER, BOTH = (
    ("compatible", "compatible"),
    ("breaking", "compatible"),
    ("compatible", "breaking"),
    ("breaking", "breaking"),
)


def contract(text, name="c.yml"):
    return Contract.from_text(text, source=name)


def whole(*, checks="- row_count:", columns="- {name: km}", rest="", dataset="w/demo/public/rides"):
    return contract(f"dataset: {dataset}\nchecks:\n  {checks}\ncolumns:\n  {columns}\n{rest}\n")


def on_km(check, keys=""):
    """A contract with one check on the column km."""
    return whole(columns=f"- {{name: km{f', {keys}' if keys else ''}, checks: [{{{check}}}]}}")


def changes(old, new):
    return [(c.consumers.value, c.producers.value) for c in diff_contracts(old, new).changes]


def threshold(text):
    return on_km(f"missing: {{threshold: {{{text}}}}}")


def test_what_says_the_same_in_other_words_is_told_once():
    (change,) = diff_contracts(threshold("must_be: 0"), threshold("must_be_less_than: 1")).changes
    assert (change.place, change.what) == ("the document", "other words")


def test_nothing_changed():
    assert changes(whole(), whole()) == []
    assert diff_contracts(whole(), whole()).worst() is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("must_be: 0", "must_be_less_than: 5", LOOSER, id="looser"),
        pytest.param("must_be_less_than: 5", "must_be_less_than_or_equal: 3", TIGHTER, id="tighter"),
        pytest.param("must_be: 0", "must_be_less_than: 1", NEITHER, id="the same for counts"),
        pytest.param("must_be: 0", "{}", NEITHER, id="the default"),
        pytest.param("must_be_less_than: 5", "must_be_greater_than: 2", BOTH, id="overlapping"),
        pytest.param("must_be: 0", "must_be: 0, level: warn", LOOSER, id="only warns now"),
        pytest.param("must_be: 0, level: warn", "must_be: 0", TIGHTER, id="refuses now"),
        pytest.param(
            "must_be_less_than: 9, level: warn", "must_be_less_than: 2, level: warn", NEITHER, id="a warning moved"
        ),
        pytest.param(
            "must_be_less_than: 9", "must_be_less_than: 9, additional: {must_be: 0, level: warn}", NEITHER,
            id="a second level",
        ),
        pytest.param("must_be: 0", "metric: percent, must_be_less_than: 5", LOOSER, id="nothing to percent"),
        pytest.param("must_be_less_than: 5", "metric: percent, must_be_less_than: 5", BOTH, id="another unit"),
        pytest.param(
            "must_be_between: {greater_than: 1, less_than: 9}",
            "must_be_between: {greater_than_or_equal: 1, less_than: 9}", LOOSER, id="an end closed",
        ),
        pytest.param(
            "must_be_not_between: {greater_than: 9, less_than: 3}", "must_not_be: 5", LOOSER, id="a hole shrunk"
        ),
    ],
)  # fmt: skip
def test_thresholds_are_compared_as_sets(old, new, expected):
    new = on_km("missing: ") if new == "{}" else threshold(new)
    assert changes(threshold(old), new) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("valid_values: [a, b]", "valid_values: [b, a, c]", LOOSER),
        ("valid_values: [a, b]", "valid_values: [a]", TIGHTER),
        ("valid_values: [a]", "valid_values: [b]", BOTH),
        ("invalid_values: [x]", "invalid_values: [x, y]", TIGHTER),
        ("valid_min: 0, valid_max: 9", "valid_min: 1, valid_max: 10", (*TIGHTER, *LOOSER)),
        ("valid_min: 0", "valid_min: 0, valid_max: 9", TIGHTER),
        ("valid_min: 0, valid_max: 9", "valid_min: 0", LOOSER),
        ("valid_format: {regex: a, name: x}", "valid_format: {regex: a, name: y}", NEITHER),
        ("valid_format: {regex: a, name: x}", "valid_format: {regex: b, name: x}", BOTH),
        ("valid_max_length: 3", "valid_max_length: 5", LOOSER),
        ("valid_min: 0", "valid_min: 0, missing_values: [-1]", LOOSER),
        ("valid_min: 0", "valid_min: 0, filter: km > 1", LOOSER),
        ("valid_min: 0, filter: km > 1", "valid_min: 0, filter: km > 2", BOTH),
        ("valid_min: 0", "valid_min: 0, name: other", NEITHER),
        ("valid_min: 0", "valid_min: 0, qualifier: renamed", NEITHER),
        ("valid_min: 0", "valid_min: 0, column_expression: abs(km)", BOTH),
    ],
    ids=str,
)
def test_rules_of_validity(old, new, expected):
    found = changes(on_km(f"invalid: {{{old}}}"), on_km(f"invalid: {{{new}}}"))
    assert [side for pair in found for side in pair] == list(expected)


def test_rules_of_the_column_count_where_the_check_has_none():
    old, new = on_km("invalid: ", "valid_max: 9"), on_km("invalid: ", "valid_max: 10")
    assert changes(old, new) == [LOOSER]
    assert changes(on_km("invalid: {valid_max: 9}"), new) == [LOOSER]
    assert changes(on_km("missing: "), on_km("missing: ", "missing_values: [-1]")) == [TIGHTER]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- row_count:\n  - duplicate: {columns: [a, b]}", "- row_count:\n  - duplicate: {columns: [a]}", TIGHTER),
        ("- row_count:\n  - duplicate: {columns: [a]}", "- row_count:", LOOSER),
        ("- row_count:", "- row_count:\n  - schema:", TIGHTER),
        ("- schema:", "- schema: {allow_extra_columns: true}", NEITHER),
        ("- schema: {allow_extra_columns: true}", "- schema:", TIGHTER),
        ("- freshness: {column: a, threshold: {unit: hour, must_be_less_than: 48}}",
         "- freshness: {column: a, threshold: {unit: day, must_be_less_than: 2}}", NEITHER),
        ("- freshness: {column: a, threshold: {unit: hour, must_be_less_than: 48}}",
         "- freshness: {column: a, threshold: {unit: day, must_be_less_than: 3}}", LOOSER),
        ("- metric: {expression: max(a), threshold: {must_be: 1}}", "- metric: {expression: min(a), threshold: {must_be: 1}}", BOTH),
    ],
    ids=["fewer keys", "check gone", "check new", "extra columns", "no extra columns", "other words", "older", "other SQL"],
)  # fmt: skip
def test_dataset_checks(old, new, expected):
    assert changes(whole(checks=old), whole(checks=new)) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "loose", "strict"),
    [
        ("- {name: a}", "- {name: a}\n  - {name: b}", ("additive", "additive"), ("additive", "breaking")),
        ("- {name: a}\n  - {name: b}", "- {name: a}", LOOSER, BOTH),
        ("- {name: a, data_type: integer}", "- {name: a, data_type: int8}", NEITHER, TIGHTER),
        ("- {name: a, data_type: bigint}", "- {name: a, data_type: integer}", LOOSER, BOTH),
        ("- {name: a, data_type: timestamptz}", "- {name: a, data_type: timestamp with time zone}", NEITHER, NEITHER),
        ("- {name: a, data_type: varchar, character_maximum_length: 9}", "- {name: a, data_type: varchar(12)}", NEITHER, TIGHTER),
        ("- {name: a, data_type: text}", "- {name: a}", LOOSER, LOOSER),
        ("- {name: a}", "- {name: a, data_type: text}", NEITHER, TIGHTER),
        ("- {name: a}\n  - {name: b}", "- {name: b}\n  - {name: a}", (*NEITHER, *NEITHER), (*TIGHTER, *TIGHTER)),
    ],
    ids=["new", "gone", "wider", "narrower", "synonym", "size elsewhere", "type gone", "type new", "moved"],
)  # fmt: skip
def test_columns_without_and_with_a_schema_check(old, new, loose, strict):
    for checks, expected in (("- row_count:", loose), ("- schema:", strict)):
        found = changes(whole(columns=old, checks=checks), whole(columns=new, checks=checks))
        assert [side for pair in found for side in pair] == list(expected), checks


def test_checks_of_a_new_or_lost_column_are_not_told_again():
    old, new = on_km("missing: "), whole(columns="- {name: miles, checks: [{missing: }]}")
    assert changes(old, new) == [("breaking", "compatible"), ("additive", "breaking")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("x-dataml: {on_fail: reject}", "x-dataml: {on_fail: warn}", [LOOSER]),
        ("x-dataml: {on_fail: reject}", "x-dataml: {on_fail: quarantine}", [NEITHER]),
        ("x-dataml: {on_fail: quarantine}", "x-dataml: {on_fail: reject}", [TIGHTER]),
        ("", "x-dataml: {require_rows: false}", [LOOSER]),
        ("", "x-dataml: {samples: {rows: 2}}", [NEITHER]),
        ("", "x-dataml: {quarantine: {max_fraction: 0.001}}", [TIGHTER]),
        ("", "x-dataml: {distributions: [{column: km}]}", [TIGHTER]),
        ("x-dataml: {distributions: [{column: km, level: warn}]}", "", [NEITHER]),
        ("x-dataml: {distributions: [{column: km}]}", "x-dataml: {distributions: [{column: km, tolerance: 0.2}]}", [LOOSER]),
        ("x-dataml: {distributions: [{column: km}]}", "x-dataml: {distributions: [{column: km, alpha: 0.05}]}", [TIGHTER]),
        ("x-dataml: {anomalies: [{metric: row_count}]}", "x-dataml: {anomalies: [{metric: row_count, direction: low}]}", [BOTH]),
        ("variables: {a: {default: 1}}", "variables: {a: {default: 2}}", [NEITHER]),
        ("", "variables: {a: {}}", [TIGHTER]),
        ("variables: {a: {}}", "", [TIGHTER]),
        ("filter: km > 1", "filter: km > 2", [BOTH]),
        ("", "description: words", [NEITHER]),
    ],
    ids=str,
)  # fmt: skip
def test_everything_else(old, new, expected):
    assert changes(whole(rest=old), whole(rest=new)) == expected


def test_another_place_is_no_change_and_another_table_is():
    assert changes(whole(), whole(dataset="w/prod/public/rides")) == [NEITHER]
    assert changes(whole(), whole(dataset="w/demo/public/trips")) == [BOTH]


def test_bounds_in_variables_are_compared_by_their_defaults():
    def least(rest, bound="${var.least}"):
        return whole(checks=f'- row_count: {{threshold: {{must_be_greater_than: "{bound}"}}}}', rest=rest)

    assert changes(least("variables: {least: {default: 5}}"), least("variables: {least: {default: 9}}")) == [
        TIGHTER,
        NEITHER,
    ]
    assert changes(
        least("variables: {least: {}, b: {}}"), least("variables: {least: {}, b: {}}", "${var.b}")
    ) == [BOTH]


def test_a_default_inside_sql_cannot_be_compared():
    old = whole(
        checks='- failed_rows: {expression: "km < ${var.a} + 1"}', rest="variables: {a: {default: 1}}"
    )
    new = whole(
        checks='- failed_rows: {expression: "km < ${var.a} + 1"}', rest="variables: {a: {default: 2}}"
    )
    assert changes(old, new) == [BOTH]


def test_markdown_and_json():
    new = "dataset: w/demo/public/rides\nchecks: [{row_count: }]\ncolumns: [{name: km}]\n"
    diff = diff_contracts(threshold("must_be: 0"), contract(new, "new.yml"))
    assert diff.markdown() == (
        "**new.yml**: breaking for consumers, compatible for producers.\n\n"
        "| Where | What | Consumers | Producers | Why |\n"
        "|---|---|---|---|---|\n"
        "| `columns.km.checks.missing` | gone: missing(km) = 0 | **breaking** | compatible | "
        "readers may meet what they were promised not to |\n"
    )
    assert json.loads(json.dumps(diff.to_dict()))["consumers"] == "breaking"
    assert diff_contracts(whole(), whole()).markdown() == "**c.yml** promises what it did.\n"


_NAMES = ["must_be", "must_not_be", "must_be_greater_than", "must_be_greater_than_or_equal",
          "must_be_less_than", "must_be_less_than_or_equal"]  # fmt: skip
_REGIONS = st.builds(
    lambda name, n: region_of(Comparison(**{name: n}), default="", resolve={}.get),
    st.sampled_from(_NAMES),
    st.integers(-3, 3),
)


def _holds(region, value):
    return Region.of(low=(value, 0), high=(value, 0)).within(region)


@given(one=_REGIONS, two=_REGIONS)
def test_regions_behave_as_the_sets_they_stand_for(one, two):
    points = [n / 2 for n in range(-12, 13)]
    assert [_holds(one.both(two), p) for p in points] == [_holds(one, p) and _holds(two, p) for p in points]
    assert one.within(two) == all(_holds(two, p) for p in points if _holds(one, p))
    assert [_holds(one.whole(), n) for n in range(-6, 7)] == [_holds(one, n) for n in range(-6, 7)]
