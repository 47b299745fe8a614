"""Exports as values: names, addresses, types, and documents of assets nobody described."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.exports import (
    FORMATS,
    ExportedAsset,
    ExportedColumn,
    ExportedVersion,
    ExportSettings,
    RowsFile,
    Upstream,
    check_format,
)
from airflow_dataml.core.exports_datahub import dataset_urn, encoded
from airflow_dataml.core.exports_formats import render
from airflow_dataml.core.exports_openmetadata import entity_name, fqn
from airflow_dataml.core.exports_text import plain_uri, slug
from airflow_dataml.core.exports_types import words_of
from airflow_dataml.core.exports_unity import object_name
from airflow_dataml.core.refs import Relation

WHEN = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
RELATION = Relation("public", "rides")
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=80)


def asset(name="rides", **said):
    common = {
        "kind": "dataset",
        "uri": f"dataml://dataset/{name}",
        "namespace": "dataml",
        "lineage_name": f"dataset/{name}",
    }
    return ExportedAsset(name=name, **(common | said))


def rides(**said):
    return asset(
        namespace="postgres://db:5432", lineage_name="shop.public.rides", relation=RELATION, database="shop",
        columns=(ExportedColumn("id", "integer", nullable=False), ExportedColumn("km", "double precision")),
        version=ExportedVersion(3, WHEN, 10, 100, "pg2-x", readable=True), **said,
    )  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_an_asset_of_which_nothing_is_known_breaks_no_format(format):
    rendered = render(format, [asset("stub", kind="external"), asset("m", kind="model")], ExportSettings())
    assert "stub" in rendered.left_out or any("stub" in document.text for document in rendered.documents)
    assert all(document.text.endswith("\n") for document in rendered.documents)


@pytest.mark.parametrize("format", FORMATS)
def test_no_assets_are_no_trouble(format):
    assert render(format, [], ExportSettings()).left_out == {}


@pytest.mark.parametrize("format", FORMATS)
@given(name=TEXT, column=TEXT, text=TEXT)
def test_any_name_is_written(format, name, column, text):
    told = asset(
        name, namespace="file", lineage_name=name, description=text, owner=text, tags=(text,), terms=(text,), domain=text,
        columns=(ExportedColumn(column, "integer", text, (text,), (text,)),), version=ExportedVersion(1, WHEN, 1),
        upstream=(Upstream("other", "external", "file", name, ((column, column, "direct"),)),),
    )  # fmt: skip
    rendered = render(format, [told], ExportSettings())
    assert rendered.documents
    for document in rendered.documents:
        assert "/" not in document.path
        document.text.encode()
        if format != "odcs":
            json.loads(document.text)
    assert all(request.path.isascii() and " " not in request.path for request in rendered.requests)


@given(TEXT, TEXT)
def test_different_names_have_different_files_and_objects(one, other):
    assert (slug(one) == slug(other)) == (one == other)
    assert (object_name(one) == object_name(other)) == (one == other)
    assert not set(object_name(one)) & set("./ \n\t")


@pytest.mark.parametrize(
    ("uri", "plain"),
    [
        ("postgres://u:p@db:5432/a/b/c", "postgres://db:5432/a/b/c"),
        ("https://x.org/a?sig=abc#y", "https://x.org/a"),
        ("abfss://c:key@acct.dfs.core.windows.net/x", "abfss://c@acct.dfs.core.windows.net/x"),
        ("weird thing", "weird thing"),
        ("http://[broken", ""),
        ("s3://lake/a", "s3://lake/a"),
    ],
    ids=["login", "query", "container", "no uri", "no host", "plain"],
)
def test_addresses_lose_what_is_secret(uri, plain):
    assert plain_uri(uri) == plain


@pytest.mark.parametrize(
    ("type_", "unity", "openmetadata", "frictionless"),
    [
        ("integer", "INT", "INT", "integer"),
        ("numeric(10,2)", "DECIMAL", "NUMERIC", "number"),
        ("timestamptz", "TIMESTAMP", "TIMESTAMPZ", "datetime"),
        ("varchar(5)", "STRING", "VARCHAR", "string"),
        ("jsonb", "STRING", "JSON", "any"),
        ("text[]", "ARRAY", "ARRAY", "any"),
        ("int4range", "STRING", "UNKNOWN", "string"),
        ("", "STRING", "UNKNOWN", "string"),
    ],
    ids=str,
)
def test_types(type_, unity, openmetadata, frictionless):
    words = words_of(type_)
    assert (words.unity, words.openmetadata, words.frictionless) == (unity, openmetadata, frictionless)


def test_names_in_other_catalogs():
    assert (
        dataset_urn(rides(), ExportSettings(environment="DEV"))
        == "urn:li:dataset:(urn:li:dataPlatform:postgres,shop.public.rides,DEV)"
    )
    assert encoded("a(b),c") == "a%28b%29%2Cc"
    assert fqn("svc", "a.b", 'c"d') == 'svc."a.b".c__reserved__quote__d'
    assert len(entity_name("x" * 300)) <= 256


def test_a_document_points_at_rows_only_where_they_were_written():
    file = RowsFile("data/rides-v3.csv", "ab" * 32, 12, 10, ("id",))
    with_rows = json.loads(
        render("croissant", [rides()], ExportSettings(), {"rides": file}).documents[0].text
    )
    without = json.loads(render("croissant", [rides()], ExportSettings()).documents[0].text)
    assert with_rows["distribution"][0]["sha256"] == "ab" * 32
    assert [field["name"] for field in with_rows["recordSet"][0]["field"]] == ["id"]
    assert without["isLiveDataset"] is True
    assert "sha256" not in without["distribution"][0]


def test_themes_of_domains_are_those_of_the_settings():
    theme = "http://publications.europa.eu/resource/authority/data-theme/TRAN"
    document = render(
        "dcat", [rides(domain="mobility")], ExportSettings(themes={"mobility": theme})
    ).documents[0]
    assert json.loads(document.text)["dcat:dataset"][0]["dcat:theme"]["@id"] == theme


@pytest.mark.parametrize(
    ("format", "said", "words"),
    [
        ("rdf", {}, "unknown: write one of odcs"),
        ("odcs", {"send": True}, "cannot be sent to a server: only datahub"),
        ("unity", {"with_data": True}, "cannot be given rows: only croissant"),
    ],
    ids=["unknown", "no server", "no rows"],
)
def test_what_a_format_cannot_do_is_refused(format, said, words):
    with pytest.raises(SpecError, match=words):
        check_format(format, **said)


def test_a_request_as_json_says_only_what_it_has():
    requests = render("unity", [rides()], ExportSettings()).requests
    assert [request.item for request in requests] == [
        "catalog dataml",
        "schema dataml.shop_public",
        "table rides",
    ]
    assert set(requests[2].to_dict()) == {"item", "method", "path", "body", "find"}
