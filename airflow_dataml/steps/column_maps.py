"""Which columns of the versions a query reads went into what it gives."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.column_lineage import TABLE_CONFIDENCE, ColumnMap
from airflow_dataml.core.errors import DataMLError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.column_lineage import ColumnParser, QueryLineage
    from airflow_dataml.core.datasets import Column, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.stores import Query
    from airflow_dataml.core.training import TrainingSpec

log = logging.getLogger(__name__)


def column_maps(
    *,
    ledger: Ledger,
    query: Query,
    versions: Mapping[str, Version],
    parser: ColumnParser | None = None,
) -> dict[int, ColumnMap]:
    """Return version id -> its columns in the result of a query; it never fails what it is asked for.

    The database's own analysis is exact; where it has none, the parser reads the text; where neither can,
    only that the versions were read is known.

    :param versions: name in the query -> version.
    """
    columns = {name: columns for name, (_, columns) in query.inputs.items()}
    lineage, prefix = _analyzed(ledger, query, columns), "pg_temp."
    if lineage is None and parser is not None:
        lineage, prefix = _parsed(parser, query, columns), ""
    found: dict[int, list[ColumnMap]] = {}
    for name, version in versions.items():
        one = lineage.column_map(prefix + name) if lineage else ColumnMap((), "table", TABLE_CONFIDENCE)
        found.setdefault(version.version_id, []).append(one)
    return {version: ColumnMap.merged(maps) for version, maps in found.items()}


def trained_on(spec: TrainingSpec) -> ColumnMap:
    """Return which columns of a dataset are which inputs of a model; the target decides all that it says."""
    declared = ColumnMap.declared((feature.name, feature.name) for feature in spec.features)
    return replace(declared, flows=(*declared.flows, ("", spec.target, "indirect", "condition")))


def scored_from(keys: Sequence[str], features: Sequence[str]) -> ColumnMap:
    """Return which columns of a dataset went into predictions: the keys as they are, the features into the score.

    >>> scored_from(["id"], ["km"]).mapping
    [['id', 'id', 'direct', 'value'], ['score', 'km', 'direct', 'value']]
    """
    return ColumnMap.declared([*((key, key) for key in keys), *(("score", name) for name in features)])


def _analyzed(ledger: Ledger, query: Query, columns: Mapping[str, Sequence[Column]]) -> QueryLineage | None:
    try:
        return ledger.columns.analyze(query.sql, inputs=columns, parameters=query.parameters)
    except DataMLError as err:
        log.info("The database did not tell the columns of the query: %s", err)
        return None


def _parsed(
    parser: ColumnParser, query: Query, columns: Mapping[str, Sequence[Column]]
) -> QueryLineage | None:
    schemas = {name: {c.name: c.type for c in known} for name, known in columns.items()}
    last = next((one for one in reversed(parser.parse(query.sql, schemas=schemas)) if one is not None), None)
    return last if last is not None and last.method != "table" else None
