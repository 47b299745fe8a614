"""Entries, their digests and what they refuse."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.assets import dataset, entry_of, external, model
from airflow_dataml.core.catalog import AssetEntry, AssetFilter, ColumnDoc
from airflow_dataml.core.catalog_search import closest, distance, slips
from airflow_dataml.core.crawl import CrawlScope, FoundTable, Place
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError

ENTRY = AssetEntry("a", "external", "u")
OTHERS = {
    "name": "b", "kind": "model", "uri": "v", "subtype": "view", "owner": "o", "description": "d", "documentation": "e",
    "importance": "high", "tags": ("t",), "terms": ("t",), "domain": "d", "asset_group": "g", "freshness_s": 1,
    "location": {"a": 1}, "columns": (Column("a", "b"),), "column_docs": (ColumnDoc("a", "b"),), "aliases": (("a", "b"),),
    "source": "crawled", "crawl_scope": "s",
}  # fmt: skip


def test_every_word_of_an_entry_is_in_its_digest():
    assert set(OTHERS) == {field.name for field in fields(AssetEntry) if field.init}
    digests = {replace(ENTRY, **{key: value}).digest for key, value in OTHERS.items()}
    assert len(digests | {ENTRY.digest}) == len(OTHERS) + 1


def test_no_columns_and_an_empty_schema_are_not_the_same():
    assert replace(ENTRY, columns=()).digest != ENTRY.digest


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": "thing"}, "kind 'thing' of asset 'a' is not usable: write one of dataset"),
        ({"name": ""}, "name '' of asset"),
        ({"name": "é" * 501}, "1 to 1000 bytes"),
        ({"importance": "big"}, "importance 'big'"),
        ({"freshness_s": 0}, "freshness 0"),
        ({"tags": ("",)}, "tag ''"),
        ({"column_docs": (ColumnDoc("a", tags=("x" * 201,)),)}, "1 to 200 characters"),
        ({"documentation": "x" * 100_001}, "documentation 'xxx"),
        ({"owner": "a\x00b"}, "without NUL and lone surrogates"),
        ({"location": {"a": ["\ud800"]}}, "without NUL and lone surrogates"),
        ({"columns": (Column("\x00", "text"),)}, "without NUL and lone surrogates"),
        ({"source": "rumour"}, "source 'rumour' is unknown"),
    ],
    ids=lambda value: ascii(value)[:40] if isinstance(value, dict) else "",
)
def test_what_no_ledger_could_keep_is_refused(said, why):
    with pytest.raises(SpecError, match=why):
        AssetEntry(**({"name": "a", "kind": "external", "uri": "u"} | said))


def test_a_filter_on_what_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="status 'gone' is unknown"):
        AssetFilter(status=("gone",))


def test_declarations_carry_what_they_say():
    asset = dataset(
        "rides", owner="data", terms=["ride"], freshness=timedelta(days=1), columns={"km": "Distance"}
    )
    entry = entry_of(asset)
    assert (entry.owner, entry.terms, entry.freshness_s) == ("data", ("ride",), 86_400)
    assert (entry.column_docs, entry.location) == ((ColumnDoc("km", "Distance"),), {"table": "public.rides"})
    assert entry_of(model("m", documentation="# M")).documentation == "# M"
    assert entry_of(external("e", table="a.b", domain="d")).domain == "d"


@pytest.mark.parametrize(
    ("said", "error", "why"),
    [
        ({"colour": "red"}, TypeError, "'colour' is nothing that can be said of 'rides'"),
        ({"freshness": timedelta(0)}, SpecError, "is no promise"),
        ({"columns": {"a": {"unit": "km"}}}, SpecError, "'unit' is nothing that can be said of column 'a'"),
    ],
    ids=["word", "promise", "column"],
)
def test_declarations_refuse_what_means_nothing(said, error, why):
    with pytest.raises(error, match=why):
        dataset("rides", **said)


@given(
    word=st.text("abcdefgh", min_size=5, max_size=14),
    place=st.integers(0, 20),
    letter=st.sampled_from("abcdefgh"),
)
def test_a_word_with_one_slip_is_found_again(word, place, letter):
    at = place % len(word)
    for typed in (
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
    ):
        assert distance(typed, word) <= 1
        assert set(slips(typed)) & set(slips(word)) or len(typed) < 4
        assert closest(typed, [word]) == (word,)


def test_a_table_with_a_name_longer_than_any_asset_has_one_of_its_own():
    table = FoundTable("s" * 600, "t" * 600, "r")
    place = Place("db", 5432, "shop")
    first = table.entry(place, scope="x", conn_id=None)
    second = replace(table, name="t" * 599 + "u").entry(place, scope="x", conn_id=None)
    assert len(first.name.encode()) <= 1000
    assert first.name != second.name


def test_an_empty_pattern_is_refused():
    with pytest.raises(ValueError, match="is no pattern"):
        CrawlScope(include=("",))
