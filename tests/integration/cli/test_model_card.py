"""The card of a model on the command line."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("ref", ["ride_demand", "ride_demand@1", "ride_demand@champion"], ids=str)
def test_a_card_is_printed_as_markdown(terminal, ref):
    code, out, _ = terminal("model", "card", ref)
    assert code == 0
    assert out.startswith("# ride\\_demand@1\n")
    assert "| Dataset | rides@2 |" in out
    assert "Verdict: **pass**" in out
    assert "**became champion**" in out


def test_programs_get_it_as_json(terminal):
    code, data = terminal.json("model", "card", "ride_demand")
    assert (code, data["version"]) == (0, "ride_demand@1")
    assert data["markdown"].startswith("# ride\\_demand@1\n")


def test_what_is_no_model_has_none(terminal):
    code, _, err = terminal("model", "card", "rides")
    assert code != 0
    assert "'rides' is a dataset: a card is of a model" in err
