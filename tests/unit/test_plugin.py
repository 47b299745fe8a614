"""The plugin as Airflow reads it."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from airflow._shared.plugins_manager import is_valid_plugin
from airflow.api_fastapi.core_api.datamodels.plugins import FastAPIAppResponse, ReactAppResponse

from airflow_dataml.api.modules import MAIN, digest, sources
from airflow_dataml.plugins.plugin import NAME, ROUTE, DataMLPlugin

STATIC = resources.files("airflow_dataml.plugins") / "static"
MOST_LINES = 500
_EXPORT = re.compile(r"^export (?:const|(?:async )?function) (\w+)", re.MULTILINE)
_EXPORTS = re.compile(r"^export const \{([^}]*)\}", re.MULTILINE)


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


def test_the_script_sets_the_global_airflow_looks_for():
    assert f"globalThis.{NAME} = {NAME};" in (STATIC / MAIN).read_text()


def test_every_module_that_is_shipped_is_known_and_reached():
    shipped = {file.name for file in STATIC.iterdir()}
    reached, found = set(), [MAIN]
    while found:
        module = found.pop()
        reached.add(module)
        found += [name for name, _ in _imports(module) if name not in reached]
    assert set(sources()) == shipped == reached


@pytest.mark.parametrize("module", sorted(sources()))
class TestModule:
    def test_it_imports_what_its_neighbours_export(self, module):
        for neighbour, names in _imports(module):
            exported = set(_EXPORT.findall(_text(neighbour)))
            exported |= {
                name.split(":")[-1].strip()
                for group in _EXPORTS.findall(_text(neighbour))
                for name in group.split(",")
            }
            assert set(names) <= exported, f"{module} imports {set(names) - exported} from {neighbour}"

    def test_it_names_no_other_host(self, module):
        assert re.findall(r"""["'`](?:https?:)?//[^"'`]*""", _text(module)) == []

    def test_it_takes_its_neighbours_from_the_same_release(self, module):
        assert re.findall(r"""(?:from|import) ["'](?!\./[a-z]+\.js["'])""", _text(module)) == []

    def test_a_person_can_read_it(self, module):
        lines = _text(module).splitlines()
        assert len(lines) <= MOST_LINES
        assert lines[0].startswith("// ")


def _text(module):
    return sources()[module].decode()


def _imports(module):
    """Names that a module imports, by neighbour."""
    found = re.findall(r"""^import \{([^}]*)\} from "\./([^"]+)";$""", _text(module), re.MULTILINE)
    return [(neighbour, [name.strip() for name in names.split(",")]) for names, neighbour in found]


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
