"""From versions in the ledger to the facts that lineage tells of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.facets import told
from airflow_dataml.core.facets import ColumnUse, DatasetFact, TaskLineage, column_metrics
from airflow_dataml.core.profile_view import version_profile
from airflow_dataml.facets import SUBTYPES, store_name, type_of
from airflow_dataml.naming import NAMING, ledger_database

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.facets import Lifecycle, VersionFact
    from airflow_dataml.naming import Names

# A profile costs a millisecond to fetch and to add; a version of more parts is told of without its columns' numbers.
PROFILED_PARTS = 16


class Teller:
    """What the ledger says of versions, as facts under the names of one deployment."""

    def __init__(self, ledger: PostgresLedger, names: Names) -> None:
        self._ledger = ledger
        self._names = names

    def lineage(
        self,
        before: TaskLineage,
        *,
        read: Sequence[Version | int | str] = (),
        wrote: Sequence[Version | int] = (),
        others: Sequence[DatasetFact] = (),
        subsets: Mapping[str, Mapping[str, Any]] | None = None,
        rows: Mapping[str, int] | None = None,
        checks: Sequence[Mapping[str, Any]] = (),
        masked: Sequence[str] = (),
        uses: Mapping[int, Sequence[Sequence[str]]] | None = None,
        change: Lifecycle | None = None,
        **said: Any,
    ) -> TaskLineage:
        """Return a task's lineage with what it read and wrote.

        :param others: inputs that have no version.
        :param subsets: which rows of an input, by asset.
        :param rows: rows read or written, by asset, where that is not the whole version.
        :param checks: what was found in what was written.
        :param masked: columns whose values are not shown.
        :param uses: columns of an input, by version id, that went into what was written, where no edge says so.
        :param change: what happened to what was written, where that does not follow from the version.
        :param said: other fields of ``TaskLineage``.
        """
        reads = [self._id(one) for one in read]
        writes = [self._id(one) for one in wrote]
        known = told(self._ledger.connection, [*reads, *writes])
        inputs = [
            replace(
                self.fact(known[one]),
                subset=(subsets or {}).get(known[one].asset),
                rows=(rows or {}).get(known[one].asset),
            )
            for one in dict.fromkeys(reads)
            if one in known
        ]
        outputs = [
            self._written(
                known[one], known, checks=checks, masked=masked, uses=uses or {}, change=change, rows=rows
            )
            for one in dict.fromkeys(writes)
            if one in known
        ]
        staged = [known[one].staged_by for one in writes if one in known]
        lineage = replace(before, **said) if said else before
        lineage = lineage.with_inputs([*inputs, *others]).with_outputs(outputs)
        tasks = dict.fromkeys((*lineage.handed_over_by, *(task for task in staged if task)))
        return replace(lineage, handed_over_by=tuple(tasks))

    def fact(self, version: VersionFact) -> DatasetFact:
        """Return a version under its name in OpenLineage."""
        if version.kind == "model":
            return DatasetFact(
                name=NAMING.lineage_model(version.asset, registry=self._names.registry),
                logical=NAMING.lineage_logical(version.kind, version.asset),
                version=version,
                type="MODEL",
                subtype=SUBTYPES["model"],
                model=model_facts(version),
            )
        home = version.location.get("uri") or version.location.get("table")
        place = version.facts.get("location") or home
        elsewhere = bool(home) and place != home
        key = "uri" if version.location.get("uri") or version.location.get("store") == "delta" else "table"
        facts = {key: place} if place else {}
        names = self._names
        if conn_id := version.location.get("conn_id"):
            names = replace(names, database=ledger_database(str(conn_id)))
        return DatasetFact(
            name=names.of(version.kind, version.asset, facts),
            # A branch has a table of its own, which nobody else's readers see.
            logical=None if elsewhere else NAMING.lineage_logical(version.kind, version.asset),
            version=version,
            type=type_of(version.kind, facts),
            subtype="BRANCH" if elsewhere else SUBTYPES.get(version.kind),
            store=store_name(version.kind, facts),
        )

    def _written(
        self,
        version: VersionFact,
        known: Mapping[int, VersionFact],
        *,
        checks: Sequence[Mapping[str, Any]],
        masked: Sequence[str],
        uses: Mapping[int, Sequence[Sequence[str]]],
        change: Lifecycle | None,
        rows: Mapping[str, int] | None,
    ) -> DatasetFact:
        flows = {source: flow for source, flow in {**uses, **version.flows}.items() if source in known}
        return replace(
            self.fact(version),
            checks=tuple(checks),
            metrics=column_metrics(self._profile(version), masked=masked),
            change=change or _change(version),
            rows=(rows or {}).get(version.asset, version.facts.get("batch_rows")),
            uses=tuple(
                ColumnUse(self.fact(known[source]).name, tuple(_flow(one) for one in flow))
                for source, flow in flows.items()
            ),
        )

    def _profile(self, version: VersionFact) -> dict[str, Any] | None:
        if version.kind == "model" or not 0 < (version.files or 0) <= PROFILED_PARTS:
            return None
        return version_profile(version.columns, self._ledger.versions.manifest(version.version_id))

    def _id(self, one: Version | int | str) -> int:
        if isinstance(one, int):
            return one
        return (self._ledger.versions.find(one) if isinstance(one, str) else one).version_id


def model_facts(version: VersionFact) -> dict[str, Any]:
    """Return what the model facet says of a version."""
    facts = version.facts
    spec, training, registry = (facts.get(key) or {} for key in ("spec", "training", "registry"))
    plan = facts.get("plan") or {}
    return {
        "framework": "lightning",
        "format": "onnx",
        "task": spec.get("task"),
        "target": spec.get("target"),
        "module": spec.get("module"),
        "metrics": {k: v for k, v in (training.get("metrics") or {}).items() if math.isfinite(v)},
        "artifactDigest": facts.get("artifact_digest"),
        "trainedOn": plan.get("version"),
        "registryVersion": registry.get("version"),
        "registryRunId": registry.get("run_id"),
    }


def _change(version: VersionFact) -> Lifecycle | None:
    if version.kind == "model":
        return None
    if version.number == 1:
        return "CREATE"
    if version.facts.get("schema"):
        return "ALTER"
    return "OVERWRITE" if version.facts.get("mode") == "replace" else None


def _flow(one: Sequence[str]) -> tuple[str, str, str, str]:
    target, source, *more = one
    kind = more[0] if more else "direct"
    return target, source, kind, more[1] if len(more) > 1 else "value"
