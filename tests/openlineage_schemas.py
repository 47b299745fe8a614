"""Validates OpenLineage events: the event, and each facet by the schema it names."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow_dataml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from referencing import Registry

OFFICIAL = Path(__file__).parent / "data" / "openlineage" / "spec"
OURS = Path(str(airflow_dataml.__file__)).parent / "openlineage_schemas"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"


def problems(event: dict[str, Any]) -> list[str]:
    """Say what in an event breaks a schema; nothing for a valid one."""
    kind = "RunEvent" if "run" in event else "JobEvent" if "job" in event else "DatasetEvent"
    found = [f"event: {why}" for why in _errors(f"{CORE}#/$defs/{kind}", event)]
    for where, facet in facets_of(event):
        url = facet.get("_schemaURL", "")
        if _is_airflows(url):
            continue
        found += [f"{where}: {why}" for why in _errors(url, facet)]
        key = where.rpartition(".")[2]
        if key.startswith("dataml_") or "openlineage.io/spec/facets" in url:
            document = url.partition("#")[0]
            # The key is part of what the document says: ``testRun`` instead of ``test`` is no facet at all.
            if key not in _document(document).get("properties", {}):
                found.append(f"{where}: {document} knows no facet {key!r}")
    return found


def facets_of(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every facet of an event, and where it is."""
    holders = [
        ("run", event.get("run", {})),
        ("job", event.get("job", {})),
        ("dataset", event.get("dataset", {})),
    ]
    holders += [
        (f"{side}[{at}]", one) for side in ("inputs", "outputs") for at, one in enumerate(event.get(side, []))
    ]
    for where, holder in holders:
        for group in ("facets", "inputFacets", "outputFacets"):
            for key, facet in (holder.get(group) or {}).items():
                yield f"{where}.{group}.{key}", facet


def _is_airflows(url: str) -> bool:
    """Facets of Airflow's provider, whose documents nobody keeps here."""
    return "apache/airflow" in url


def _errors(url: str, value: Any) -> list[str]:
    from jsonschema import Draft202012Validator
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(
        {"$ref": url}, registry=_registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    try:
        return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(value)]
    except Unresolvable as err:
        return [f"no such schema: {err}"]


def _document(url: str) -> dict[str, Any]:
    found: dict[str, Any] = _registry().contents(url)
    return found


@cache
def _registry() -> Registry[Any]:
    from referencing import Registry, Resource

    files = [*OFFICIAL.rglob("*.json"), *OURS.glob("*.json")]
    documents = [json.loads(path.read_text()) for path in files]
    return Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in documents)
