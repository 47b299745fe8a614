"""What we tell Airflow about ourselves is what the package holds."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import tomllib
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

import airflow_dataml
from airflow_dataml.get_provider_info import get_provider_info

INFO = get_provider_info()
ROOT = Path(airflow_dataml.__file__).parents[1]


def modules(kind):
    package = importlib.import_module(f"airflow_dataml.{kind}")
    return [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]


def own(module, base):
    """Public classes a module defines itself."""
    return [
        cls for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and issubclass(cls, base) and not name.startswith("_")
    ]  # fmt: skip


def declared_modules(kind):
    return sorted(name for entry in INFO.get(kind, []) for name in entry["python-modules"])


def path(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve(dotted):
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def bases():
    from airflow.sdk import BaseOperator, BaseSensorOperator
    from airflow.sdk.bases.hook import BaseHook
    from airflow.triggers.base import BaseTrigger

    return {
        "operators": BaseOperator,
        "sensors": BaseSensorOperator,
        "hooks": BaseHook,
        "triggers": BaseTrigger,
    }


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"], ids=str)
def test_every_module_with_a_class_of_that_kind_is_declared(kind):
    from airflow_dataml.operators.base import DataMLOperator

    found = [m.__name__ for m in modules(kind) if set(own(m, bases()[kind])) - {DataMLOperator}]
    assert declared_modules(kind) == sorted(found)


def test_every_notifier_is_declared():
    from airflow.sdk import BaseNotifier

    found = [path(cls) for module in modules("notifications") for cls in own(module, BaseNotifier)]
    assert sorted(INFO.get("notifications", [])) == sorted(found)


def test_every_extra_link_is_declared():
    from airflow.sdk import BaseOperatorLink

    from airflow_dataml import links

    assert sorted(INFO["extra-links"]) == sorted(path(cls) for cls in own(links, BaseOperatorLink))


def test_every_task_decorator_is_declared():
    """A module of ``decorators`` offers what it names ``<name>_task``; users write ``@task.<name>``."""
    found = {
        (name.removesuffix("_task"), f"{module.__name__}.{name}")
        for module in modules("decorators")
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.endswith("_task") and function.__module__ == module.__name__
    }
    assert {(entry["name"], entry["class-name"]) for entry in INFO.get("task-decorators", [])} == found


def test_connection_types_are_those_of_the_hooks():
    found = (cls for module in modules("hooks") for cls in own(module, bases()["hooks"]))
    hooks = {cls.conn_type: cls for cls in found if "conn_type" in vars(cls)}
    declared = {entry["connection-type"]: entry for entry in INFO["connection-types"]}
    assert sorted(declared) == sorted(hooks)
    for conn_type, cls in hooks.items():
        assert declared[conn_type]["hook-class-name"] == path(cls)
        assert declared[conn_type]["hook-name"] == cls.hook_name


def test_connection_fields_are_those_the_hooks_read():
    fields = {entry["connection-type"]: sorted(entry["conn-fields"]) for entry in INFO["connection-types"]}
    assert fields == {
        "dataml": ["sslmode"],
        "dataml_mlflow": ["artifact_location", "mlflow_schema"],
        "dataml_ray": ["python", "runtime_env", "work_dir"],
    }


def test_what_is_named_exists():
    (uris,) = INFO["asset-uris"]
    named = [value for key, value in uris.items() if key != "schemes"]
    assert all(callable(resolve(dotted)) for dotted in (*named, *INFO["cli"]))


def test_configuration_is_what_config_reads():
    from airflow_dataml import config

    functions = {
        name for name, _ in inspect.getmembers(config, inspect.isfunction) if not name.startswith("_")
    }
    assert functions - {"conf"} | {"ui"} == set(INFO["config"]["dataml"]["options"])


def test_it_fits_airflow_s_schema():
    import airflow

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)
    assert set(INFO) <= set(schema["properties"])


def test_name_and_entry_points_match_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert INFO["package-name"] == project["name"]
    points = project["entry-points"]
    assert points["apache_airflow_provider"] == {
        "provider_info": "airflow_dataml.get_provider_info:get_provider_info"
    }
    assert points["airflow.plugins"] == {"dataml": "airflow_dataml.plugins.plugin:DataMLPlugin"}
    assert project["scripts"] == {"dataml": "airflow_dataml.cli.main:main"}


def test_the_page_is_shipped():
    assert (resources.files("airflow_dataml.plugins") / "static" / "dataml.js").is_file()
