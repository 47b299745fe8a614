"""The plugin as Airflow reads it, and the page as it is built, or stands in where it is not."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from airflow._shared.plugins_manager import is_valid_plugin
from airflow.api_fastapi.core_api.datamodels.plugins import FastAPIAppResponse, ReactAppResponse

from airflow_dataml.api.app import create_app
from airflow_dataml.api.modules import MAIN, digest, sources, stand_in
from airflow_dataml.plugins.plugin import NAME, ROUTE, DataMLPlugin
from dev.page import WWW, openapi_text

# React alone is four times that.
MOST_OF_ONE = 40_000


@pytest.fixture
def plugin():
    return DataMLPlugin()


def test_airflow_accepts_it():
    assert is_valid_plugin(DataMLPlugin)


def test_the_page_fits_airflow_s_model(plugin):
    (page,) = plugin.react_apps
    ReactAppResponse.model_validate(page)
    assert page["destination"] == "nav"
    assert page["url_route"] == ROUTE


def test_the_page_s_script_is_relative_and_versioned_by_content(plugin):
    assert plugin.react_apps[0]["bundle_url"] == f"dataml/static/{digest()}/dataml.js"
    assert len(digest()) == 12


def test_the_stand_in_sets_the_global_airflow_looks_for_and_says_how_to_build():
    said = stand_in().decode()
    assert f"globalThis.{NAME} = {NAME};" in said
    assert "dev/build_page" in said


def test_what_was_built_is_served_and_nothing_else():
    static = resources.files("airflow_dataml.plugins") / "static"
    built = {f.name for f in static.iterdir() if f.name.endswith(".js")} if static.is_dir() else {MAIN}
    assert set(sources()) == built


@pytest.mark.parametrize("module", sorted(sources()))
class TestModule:
    def test_it_names_no_other_host(self, module):
        found = re.findall(r"""["'`](?:https?:)?//[^"'`]*""", sources()[module].decode())
        assert found == []

    def test_it_takes_its_neighbours_from_the_same_release(self, module):
        imported = re.findall(r"""(?:\}from|\bimport\(?)\s*["']([^"']+)["']""", sources()[module].decode())
        assert {name for name in imported if name.removeprefix("./") not in sources()} == set()

    def test_it_is_no_copy_of_what_airflow_lends(self, module):
        assert len(sources()[module]) < MOST_OF_ONE
        assert b"react.production" not in sources()[module]


def test_the_page_s_types_are_what_the_api_says():
    said = openapi_text(create_app().openapi())
    assert said == (WWW / "openapi.json").read_text(encoding="utf-8"), "run `dev/build_page api`"


def test_the_lock_files_name_no_registry():
    for lock in (WWW / "package-lock.json", WWW.parents[2] / "tests/ui/browser/package-lock.json"):
        assert '"resolved"' not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted((WWW / "src").rglob("*.ts*")), ids=lambda f: str(f.relative_to(WWW)))
def test_a_person_can_read_a_source(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    if file.name != "schema.ts":
        assert len(lines) <= 320
        assert lines[0].startswith("// ")


def test_the_api_is_built_once_and_mounted_where_the_script_is_taken_from(plugin):
    (api,) = plugin.fastapi_apps
    FastAPIAppResponse.model_validate(api | {"app": str(api["app"])})
    assert api["url_prefix"] == f"/{ROUTE}"
    assert plugin.fastapi_apps[0]["app"] is api["app"]
    assert "/static/{release}/{module}" in {route.path for route in api["app"].routes}


def test_configuration_turns_the_page_off(plugin, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATAML__UI", "False")
    assert plugin.fastapi_apps == []
    assert plugin.react_apps == []
