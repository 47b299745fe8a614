"""The strict reader of contracts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_yaml import read_yaml, write_yaml
from airflow_dataml.core.errors import ContractError
from airflow_dataml.core.refs import Relation

CONTRACTS = Path(__file__).parents[3] / "dags" / "contracts"

RIDES = """
dataset: warehouse/demo/public/rides
variables:
  least: {default: 5}
  city: {type: string}
columns:
  - name: km
    data_type: integer
    checks:
      - missing:
      - aggregate:
          function: avg
          threshold: {must_be_between: {greater_than: 1, less_than: 9}}
  - name: zone
    checks:
      - invalid:
          name: known zones
          valid_reference_data: {dataset: warehouse/demo/public/zones, column: id}
          threshold: {metric: percent, must_be_less_than: 5, level: warn}
checks:
  - schema:
  - failed_rows:
      qualifier: few
      expression: km < ${var.least} AND city = '${var.city}'
"""


def columns(body: str) -> str:
    """A contract whose one column has this body, indented by four."""
    return f"dataset: w/rides\ncolumns:\n  - name: km\n{body}\nchecks:\n  - schema:\n"


def checks(body: str) -> str:
    """A contract with these dataset checks, indented by two."""
    return f"dataset: w/rides\ncolumns:\n  - name: km\nchecks:\n{body}\n"


def test_reads_every_check_with_its_lasting_name() -> None:
    contract = Contract.from_text(RIDES)
    assert [(check.id, check.name, check.expected, check.level) for check in contract.checks] == [
        ("checks.schema", "schema", "as in the contract", "fail"),
        ("checks.failed_rows.few", "failed_rows(few)", "= 0", "fail"),
        ("columns.km.checks.missing", "missing(km)", "= 0", "fail"),
        ("columns.km.checks.aggregate", "avg(km)", "> 1 and < 9", "fail"),
        ("columns.zone.checks.invalid", "known zones", "< 5 %", "warn"),
    ]
    assert [column.data_type for column in contract.columns] == ["integer", None]


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.yml")), ids=lambda path: path.stem)
def test_example_contracts_are_strict_contracts_with_types(path: Path) -> None:
    contract = Contract.from_file(path)
    assert contract.checks
    assert all(column.data_type for column in contract.columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            columns("    checks:\n      - missing:\n          threshold:\n            must_be_gt: 3"),
            r"line 7: columns\[0\].checks\[0\].missing.threshold.must_be_gt: 'must_be_gt' is not a known key. "
            r"Did you mean 'must_be_greater_than'\? Known: additional, level, metric, must_be, ",
            id="threshold",
        ),
        pytest.param(columns("    datatype: int"), r"line 4: columns\[0\].datatype: .* Did you mean 'data_type'", id="column"),
        pytest.param("datset: w/rides\ncolumns: []", r"line 1: datset: .* Did you mean 'dataset'", id="root"),
        pytest.param("columns: []", r"dataset: is required", id="no dataset"),
        pytest.param("dataset: w/rides\nchecks: [schema: ]", r"columns: is required", id="no columns"),
        pytest.param(checks("  - row_count: {treshold: {}}"), r"row_count.treshold: .* Did you mean 'threshold'", id="check"),
        pytest.param(checks("  - rowcount:"), r"checks\[0\].rowcount: .* Did you mean 'row_count'", id="check type"),
        pytest.param(
            checks("  - metric: {expression: a, filter: b, threshold: {must_be: 1}}"),
            r"metric.filter: 'filter' is not a known key",
            id="ignored by soda",
        ),
        pytest.param(checks("  - row_count: {scope: eu}"), r"scope: .*closed Soda extension; write the condition as a 'filter'", id="scope"),
        pytest.param("dataset: w/rides\ncolumns: []\nx-dataml: {onfail: warn}", r"x-dataml.onfail: .* Did you mean 'on_fail'", id="own block"),
        pytest.param(
            "dataset: w/rides\ncolumns: []\nx-dataml: {on_fail: ignore}",
            r"x-dataml.on_fail: must be 'reject', 'quarantine' or 'warn', not 'ignore'",
            id="on_fail",
        ),
    ],
)  # fmt: skip
def test_unknown_keys_are_refused_with_line_place_and_known_keys(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Contract.from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(checks("  - row_count: {threshold: {must_be: 1, must_not_be: 2}}"), r"holds 2 comparisons \(must_be, must_not_be\); write exactly one", id="two comparisons"),
        pytest.param(checks("  - row_count: {threshold: {must_be: yes}}"), r"must_be: must be a number or a \$\{var.name\}, not 'yes'", id="text for a number"),
        pytest.param(checks("  - row_count: {threshold: {must_be: true}}"), r"must be a number .* not True", id="true for a number"),
        pytest.param(checks("  - row_count: {threshold: {must_be: .nan}}"), r"must be a number", id="nan"),
        pytest.param(checks("  - freshness: {column: at, threshold: {unit: day}}"), r"needs a threshold with one comparison", id="no comparison"),
        pytest.param(checks("  - freshness: {column: at, threshold: {unit: week, must_be: 1}}"), r"unit: must be 'minute', 'hour' or 'day', not 'week'", id="unit"),
        pytest.param(checks("  - metric: {expression: a, query: b, threshold: {must_be: 1}}"), r"exactly one of expression, query", id="two forms"),
        pytest.param(checks("  - failed_rows: {query: a, threshold: {metric: percent, must_be: 1}}"), r"needs rows_tested_query", id="percent of what"),
        pytest.param(checks("  - failed_rows: {expression: a, rows_tested_query: b}"), r"go with query or keys_query", id="rows tested"),
        pytest.param(checks("  - failed_rows: {query: a, filter: b}"), r"put the condition into the query", id="filter of a query"),
        pytest.param(checks("  - row_count: {threshold: {must_be_between: {greater_than: 5, less_than: 3}}}"), r"must lie below the less_than bound", id="range upside down"),
        pytest.param(checks("  - row_count: {threshold: {must_be_between: {greater_than: 5}}}"), r"needs exactly one of greater_than", id="half a range"),
        pytest.param(checks("  - row_count: {threshold: {must_be_not_between: {greater_than: 3, less_than: 5}}}"), r"must lie above the less_than bound", id="outer range"),
        pytest.param(checks("  - row_count: {threshold: {must_be: 3, additional: {must_be: 5}}}"), r"both of level 'fail'", id="same level twice"),
        pytest.param(checks("  - row_count: {threshold: {additional: {must_be: 5, level: warn}}}"), r"needs one comparison itself", id="additional alone"),
        pytest.param(checks("  - duplicate: {columns: []}"), r"columns: must not be empty", id="empty list"),
        pytest.param(checks("  - duplicate: {columns: 5}"), r"columns: must be a valid list, not 5", id="no list"),
        pytest.param(checks("  - row_count: 5"), r"row_count: must be keys and values, not 5", id="no mapping"),
        pytest.param(checks("  - row_count: {threshold: 5}"), r"threshold: must be keys and values, not 5", id="no mapping inside"),
        pytest.param(checks("  - row_count"), r"write 'row_count:' with a colon", id="colon"),
        pytest.param(checks("  - {row_count: , schema: }"), r"a check is one key", id="two types in one"),
        pytest.param(checks("  - missing:"), r"goes under a column's 'checks', not under the document's", id="column check"),
        pytest.param(columns("    checks: [schema: ]"), r"goes under the document's 'checks'", id="dataset check"),
        pytest.param(checks("  - schema:\n  - schema:"), r"line 6: checks\[1\]: a second 'checks.schema'; give it a 'qualifier'", id="same check twice"),
        pytest.param("dataset: w/rides\ncolumns: [{name: a}, {name: a}]\nchecks: [schema: ]", r"the column 'a' is there twice", id="same column twice"),
        pytest.param("dataset: w/rides\ncolumns: [{name: a}]", r"holds no check", id="no check"),
        pytest.param("dataset: rides\ncolumns: [{name: a}]\nchecks: [schema: ]", r"must name a data source and a table", id="dataset"),
        pytest.param(columns("    valid_values: [a, null]"), r"valid_values\[1\]: must be a text.* not None", id="null value"),
        pytest.param(columns("    checks: []"), r"checks: must not be empty", id="empty checks"),
        pytest.param(checks("  - failed_rows: {expression: 'a < ${var.b}'}"), r"'b' is not a known variable of \$\{var.\}", id="undeclared variable"),
        pytest.param(checks("  - failed_rows: {expression: 'a < ${sada.NOW}'}"), r"'sada' is not a known namespace .* Did you mean 'soda'", id="namespace"),
        pytest.param(checks("  - freshness: {column: a, now_variable: b, threshold: {must_be: 1}}"), r"now_variable: 'b' is not a known declared variable", id="now variable"),
        pytest.param("- a", r"the document: must be keys and values, not \['a'\]", id="list"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Contract.from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [1", r"the contract line 1: expected ',' or ']'", id="syntax"),
        pytest.param(
            "a: 1\nb: 2\na: 3", r"the contract line 3: the key 'a' is written twice", id="duplicate key"
        ),
        pytest.param("1: a", r"a key must be text", id="number as key"),
        pytest.param("# nothing", r"the contract is empty: begin with 'dataset:", id="empty"),
        pytest.param("a: !!python/name:os.system", r"could not determine a constructor", id="python object"),
        pytest.param("a: \x01", r"is not YAML: unacceptable character", id="control character"),
        pytest.param("a: 1\n---\nb: 2", r"another document", id="two documents"),
    ],
)
def test_what_is_not_one_plain_document_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Contract.from_text(text)


def test_every_problem_is_told_at_once_in_the_order_of_lines() -> None:
    text = "dataset: rides\nfliter: a\ncolumns:\n  - {name: a, checks: [mising: ]}\n  - {nam: b}\n"
    with pytest.raises(ContractError) as caught:
        Contract.from_text(text, source="rides.yml")
    lines = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert lines == [
        "rides.yml line 1",
        "rides.yml line 2",
        "rides.yml line 4",
        "rides.yml line 5",
        "rides.yml line 5",
    ]


def test_a_flood_of_problems_is_cut_short() -> None:
    with pytest.raises(ContractError, match=r"\.\.\. and 10 more"):
        Contract.from_text(checks("\n".join(f"  - nonsense_{i}:" for i in range(20))))


def test_file_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"contract '.*none.yml' cannot be read \(No such file"):
        Contract.from_file(tmp_path / "none.yml")
    (tmp_path / "latin.yml").write_bytes("dataset: w/é".encode("latin-1"))
    with pytest.raises(ContractError, match="is not UTF-8"):
        Contract.from_file(tmp_path / "latin.yml")


def test_words_of_yaml_1_1_stay_words() -> None:
    contract = Contract.from_text(columns("    valid_values: [NO, on, 12:30, 010, 1e3, 2013-01-01]"))
    values = contract.columns[0].valid_values
    assert values is not None
    assert [str(value) for value in values] == ["NO", "on", "12:30", "10", "1000.0", "2013-01-01"]


def test_written_yaml_reads_back_the_same_under_any_rules() -> None:
    value = {"a": ["NO", "1e3", "12:30", "~", "${var.x}", "a\nb", "é"], "b": {"c": [1, 2.5, True, None]}}
    text = write_yaml(value)
    assert read_yaml(text, source="here").value == value
    assert yaml.safe_load(text) == value


def test_the_digest_ignores_layout_and_sees_every_value() -> None:
    reordered = "# a comment\n" + RIDES.replace("    data_type: integer\n", "").replace(
        "  - name: km\n", "  - data_type: integer\n    name: km\n"
    )
    assert Contract.from_text(reordered).digest == Contract.from_text(RIDES).digest
    assert (
        Contract.from_text(RIDES.replace("less_than: 9", "less_than: 8")).digest
        != Contract.from_text(RIDES).digest
    )


class TestTextForSoda:
    def test_points_at_the_relation_and_leaves_our_block_out(self) -> None:
        contract = Contract.from_text(RIDES + "x-dataml: {on_fail: warn}\n")
        text = contract.text_for(Relation("dataml_data", "rides_1"), database="demo")
        assert yaml.safe_load(text)["dataset"] == "dataml/demo/dataml_data/rides_1"
        assert "x-dataml" not in text
        assert contract.document["x-dataml"] == {"on_fail": "warn"}

    @pytest.mark.parametrize("name", ["zones", "warehouse/demo/public/zones"])
    def test_maps_reference_datasets_by_short_or_full_name(self, name: str) -> None:
        references = {name: Relation("dataml_data", "zones_7")}
        document = Contract.from_text(RIDES).document_for(
            Relation("s", "t"), database="d", references=references
        )
        reference = document["columns"][1]["checks"][0]["invalid"]["valid_reference_data"]
        assert reference == {"dataset": "dataml/d/dataml_data/zones_7", "column": "id"}

    def test_reads_an_unmapped_reference_where_the_contract_says(self) -> None:
        text = Contract.from_text(RIDES).text_for(Relation("s", "t"), database="d")
        assert '"dataset": "dataml/d/public/zones"' in text

    def test_refuses_a_reference_no_check_names(self) -> None:
        with pytest.raises(
            ContractError, match=r"reference dataset 'zone' does not exist. Did you mean 'zones'"
        ):
            Contract.from_text(RIDES).text_for(
                Relation("s", "t"), database="d", references={"zone": Relation("s", "z")}
            )


class TestVariables:
    def test_defaults_and_given_values_are_bound_as_numbers_where_the_default_is_one(self) -> None:
        assert Contract.from_text(RIDES).bind({"city": "Bern", "least": "7", "NOW": "2013-01-01"}) == {
            "least": 7,
            "city": "Bern",
            "NOW": "2013-01-01",
        }
        assert Contract.from_text(RIDES).bind({"city": "Bern", "least": "-1.5"})["least"] == -1.5

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            pytest.param({}, "no value for variable city", id="missing"),
            pytest.param({"city": "a", "leest": 3}, "Did you mean 'least'", id="unknown"),
            pytest.param(
                {"city": "a", "least": "few"}, "variable 'least' must be a number, not 'few'", id="no number"
            ),
        ],
    )
    def test_values_that_do_not_fit_are_refused(self, given: dict[str, object], message: str) -> None:
        with pytest.raises(ContractError, match=message):
            Contract.from_text(RIDES).bind(given)


def test_our_block_has_defaults() -> None:
    plain = Contract.from_text(RIDES)
    assert (plain.on_fail, plain.require_rows) == ("reject", True)
    loose = Contract.from_text(RIDES + "x-dataml: {on_fail: warn, require_rows: false}\n")
    assert (loose.on_fail, loose.require_rows) == ("warn", False)
