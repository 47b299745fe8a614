"""The plugin as Airflow reads it."""

from __future__ import annotations

from importlib import resources

import pytest
from airflow._shared.plugins_manager import is_valid_plugin
from airflow.api_fastapi.core_api.datamodels.plugins import FastAPIAppResponse, ReactAppResponse

from airflow_dataml.plugins.plugin import NAME, ROUTE, DataMLPlugin

SCRIPT = resources.files("airflow_dataml.plugins") / "static" / "dataml.js"


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
    address, _, version = plugin.react_apps[0]["bundle_url"].partition("?v=")
    assert address == "dataml/static/dataml.js"
    assert len(version) == 12


def test_the_script_sets_the_global_airflow_looks_for():
    assert f"globalThis.{NAME} = {NAME};" in SCRIPT.read_text()


def test_the_api_is_built_once_and_mounted_where_the_script_is_taken_from(plugin):
    (api,) = plugin.fastapi_apps
    FastAPIAppResponse.model_validate(api | {"app": str(api["app"])})
    assert api["url_prefix"] == f"/{ROUTE}"
    assert plugin.fastapi_apps[0]["app"] is api["app"]
    assert "/static/dataml.js" in {route.path for route in api["app"].routes}


def test_configuration_turns_the_page_off(plugin, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATAML__UI", "False")
    assert plugin.fastapi_apps == []
    assert plugin.react_apps == []
