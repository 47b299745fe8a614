"""A change of a dataset, followed to the models in use and measured there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_diff import diff_contracts
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.impact import (
    AffectedModel,
    ImpactPolicy,
    proposed_by_contract,
    proposed_by_name,
)
from airflow_dataml.core.statistics import Interval
from airflow_dataml.steps.evaluate import Bench
from airflow_dataml.steps.impact import assess_impact, keep_impact
from tests.integration.steps.rides import Rides
from tests.integration.steps.test_explain import Explaining, KnowingScorer
from tests.integration.steps.test_models import GOOD
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_dataml.core.impact import ImpactFound

pytestmark = pytest.mark.integration


class Imputing(KnowingScorer):
    """A line that takes its training mean for what is missing, as models of ours do."""

    def score(self, columns: Any) -> Any:
        return super().score({"km": [5.0 if math.isnan(float(km)) else km for km in columns["km"]]})


@dataclass
class FakeGraph:
    """What is made from what: by asset and column, and what nobody knows the columns of."""

    columns: dict[tuple[str, str], list[tuple[str, str]]]
    unseen: tuple[str, ...] = ()

    def made_from(self, asset: str, column: str) -> list[tuple[str, str]]:
        return self.columns.get((asset, column), [])

    def made_unseen(self, assets: Iterable[str]) -> list[str]:
        assert assets
        return list(self.unseen)


@pytest.fixture
def lived(ledger, tmp_path):
    deployment = Explaining(ledger, tmp_path, GOOD)
    deployment.first_champion()
    return deployment


def _assess(
    lived: Explaining, *columns: str, dataset: str = "rides", scored: bool = True, **kwargs: Any
) -> ImpactFound:
    ledger = lived.ledger
    return assess_impact(
        ledger=ledger,
        warehouse=ledger.warehouse,
        dataset=dataset,
        proposed=proposed_by_name(columns),
        graph=FakeGraph(kwargs.pop("columns", {}), kwargs.pop("unseen", ())),
        policy=ImpactPolicy(**kwargs),
        bench=Bench(lived.registry, Imputing, lived.folder) if scored else None,
    )


def test_a_feature_that_is_gone_has_its_price_with_an_interval(lived: Explaining) -> None:
    found = _assess(lived, "km")
    [model] = found.models
    assert (found.verdict, model.version, model.in_use, model.method) == (
        "fail",
        "ride_late@1",
        ("champion",),
        "replayed",
    )
    assert model.growth is not None
    # Without km the mean label is left: entropy of .4 against that of the line.
    assert 0.05 < model.growth.low < model.growth.estimate < model.growth.high < 0.3
    assert _assess(lived, "km", tolerance=2.0).verdict == "pass"


def test_a_column_that_nothing_uses_may_go(lived: Explaining) -> None:
    found = _assess(lived, "id")
    assert (found.verdict, found.models, found.summary) == (
        "pass",
        (),
        "id is gone: no model in use is reached",
    )


def test_a_change_is_followed_through_what_is_made_from_it(lived: Explaining) -> None:
    Rides(lived.ledger, "odometer").write([(1, "bike", 1.0)])

    found = _assess(lived, "kind", dataset="odometer", columns={("odometer", "kind"): [("rides", "km")]})
    assert (found.verdict, found.reached) == ("fail", ("rides",))
    assert found.models[0].features[0].columns == ("kind",)


def test_without_scoring_the_explanation_is_gone_by_and_without_one_nobody_can_say(lived: Explaining) -> None:
    assert _assess(lived, "km", scored=False).verdict == "unknown"
    lived.explain("first", "ride_late@1", extremes=0)
    found = _assess(lived, "km", scored=False)
    [model] = found.models
    assert (found.verdict, model.method, model.features[0].share) == ("fail", "explanation", 1.0)


def test_which_rows_there_are_is_not_measured_and_does_not_pass(lived: Explaining) -> None:
    found = _assess(lived, "id", columns={("rides", "id"): [("rides", "*")]})
    assert found.verdict == "unknown"
    assert "rests on which rows there are" in found.summary


def test_what_is_made_in_a_way_of_which_no_columns_are_known_does_not_pass(lived: Explaining) -> None:
    found = _assess(lived, "id", unseen=("rides",))
    assert found.verdict == "unknown"
    assert "is made from it in a way of which no columns are known" in found.summary


def test_a_loss_that_is_no_number_does_not_pass() -> None:
    nan = Interval(math.nan, math.nan, math.nan, 0.95, 10)
    assert AffectedModel("m@1", ("champion",), (), 0.3, nan, "replayed").verdict(ImpactPolicy()) == "unknown"


def test_a_column_that_is_not_there_is_refused(lived: Explaining) -> None:
    with pytest.raises(NotFoundError, match=r"column of rides@2.*'kn'.*km"):
        _assess(lived, "kn")


def test_what_was_found_is_kept_once(lived: Explaining) -> None:
    found = _assess(lived, "km")
    first, again = (
        keep_impact(ledger=lived.ledger, identity=identity("impact"), found=found) for _ in range(2)
    )
    assert first.report_id == again.report_id
    states = lived.ledger.connection.rows("SELECT state FROM dataml.run WHERE task_id = 'impact'")
    assert [row["state"] for row in states] == ["refused"]
    assert (first.asset, first.verdict, first.body["models"][0]["verdict"]) == ("rides", "fail", "fail")
    assert found.markdown().startswith("**rides**: fail\n\n- km is gone\n")


def test_a_contract_that_takes_a_promise_back_names_its_column() -> None:
    old, new = (
        Contract.from_text(
            f"dataset: postgres/dataml/public/rides\ncolumns:\n  - name: km\n    data_type: double precision\n{checks}checks:\n  - schema:\n",
            source="rides.yml",
        )
        for checks in ("    checks:\n      - missing:\n", "")
    )
    broken, rest = proposed_by_contract(diff_contracts(old, new))
    assert [one.column for one in broken] == ["km"]
    assert rest == ()


def test_a_contract_on_other_rows_is_about_which_rows_there_are(lived: Explaining) -> None:
    old, new = (
        Contract.from_text(
            f"dataset: postgres/dataml/public/rides\n{more}columns:\n  - name: km\nchecks:\n  - schema:\n",
            source="rides.yml",
        )
        for more in ("", "filter: km > 1\n")
    )
    broken, _ = proposed_by_contract(diff_contracts(old, new))
    assert [one.column for one in broken] == ["*"]
    ledger = lived.ledger
    found = assess_impact(
        ledger=ledger,
        warehouse=ledger.warehouse,
        dataset="rides",
        proposed=broken,
        graph=FakeGraph({}),
        policy=ImpactPolicy(),
        bench=None,
    )
    assert found.verdict == "unknown"
