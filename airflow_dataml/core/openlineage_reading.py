"""Reading one OpenLineage event, item by item, so that one broken item costs nothing else."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.openlineage import (
    RUN_STATES,
    AirflowTask,
    DatasetName,
    JobRef,
    ObservedDataset,
    ObservedEvent,
    ParentRef,
    event_time,
)
from airflow_dataml.core.openlineage_claims import ClaimReading, remember
from airflow_dataml.core.openlineage_items import MOST_BYTES, Items
from airflow_dataml.core.refs import TaskKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.openlineage import Claim, EventKind

_LIFECYCLE = ("ALTER", "CREATE", "DROP", "OVERWRITE", "RENAME", "TRUNCATE")
_STATS = (("rowCount", "rows"), ("size", "bytes"), ("fileCount", "files"))
_KEPT_RUN = (
    "errorMessage",
    "nominalTime",
    "processing_engine",
    "executionParameters",
    "test",
    "externalQuery",
)
_KEPT_JOB = ("documentation", "ownership", "sourceCodeLocation", "tags", "jobType")
_OURS = "dataml_"
# Told to others as tags; here they are facts of their own, and an alias moves on.
_TAGS_OF_FACTS = ("alias", "importance")
_SCHEMAS: dict[bytes, tuple[tuple[Column, ...] | None, tuple[tuple[str, str], ...]]] = {}


class Reading(Items):
    """One event while it is read.

    :raises SpecError: from ``event``, when nothing of it can be used.
    """

    def event(self, key: str) -> ObservedEvent:
        """Return what the event says."""
        event, kind = self._event, self._kind()
        run, job = self._object(event, "run"), self._object(event, "job")
        facets = {"run": self._object(run, "facets"), "job": self._object(job, "facets")}
        inputs, outputs, claims = self._datasets(kind, facets["job"])
        sql = self._object(facets["job"], "sql")
        job_type = self._object(facets["job"], "jobType")
        return ObservedEvent(
            key=key,
            kind=kind,
            type=self._state() if kind == "run" else None,
            at=event_time(event.get("eventTime")),
            producer=str(event.get("producer") or ""),
            job=self._job(job, "job") if kind != "dataset" else None,
            run_id=self.text(run, "runId", "run") if kind == "run" else None,
            airflow=self._airflow(facets["run"]),
            parent=self._parent(facets["run"]),
            integration=_word(job_type.get("integration")),
            streaming=_word(job_type.get("processingType")) == "STREAMING",
            sql=_word(sql.get("query")),
            dialect=_word(sql.get("dialect")),
            job_facets={name: facets["job"][name] for name in _KEPT_JOB if name in facets["job"]},
            run_facets=_kept_run(facets["run"]),
            inputs=inputs,
            outputs=outputs,
            claims=claims,
            problems=tuple(self.problems),
        )

    def _kind(self) -> EventKind:
        if self._event.get("run") is not None:
            return "run"
        if self._event.get("dataset") is not None:
            return "dataset"
        if self._event.get("job") is not None:
            return "job"
        msg = "an event has a run, a dataset or a job; this one has none of them."
        raise SpecError(msg)

    def _state(self) -> str:
        """Return the state; one that is missing adds facts and changes no state."""
        state = self._event.get("eventType")
        if state in RUN_STATES:
            return str(state)
        if state is not None:
            self.problems.append(f"eventType {state!r} is none of {', '.join(RUN_STATES)}: read as OTHER")
        return "OTHER"

    def _job(self, job: Mapping[str, Any], what: str) -> JobRef:
        return JobRef(self.text(job, "namespace", what), self.text(job, "name", what))

    def _datasets(
        self, kind: EventKind, job_facets: Mapping[str, Any]
    ) -> tuple[tuple[ObservedDataset, ...], tuple[ObservedDataset, ...], tuple[Claim, ...]]:
        if kind == "dataset":
            pairs: list[tuple[str, dict[str, Any]]] = [("dataset", self._object(self._event, "dataset"))]
            inputs: list[ObservedDataset] = []
        else:
            pairs = list(self._list(self._event, "outputs", ""))
            inputs = [
                read
                for what, item in self._list(self._event, "inputs", "")
                if (read := self._dataset(item, what, "inputFacets", "inputStatistics"))
            ]
        outputs: list[ObservedDataset] = []
        claiming = ClaimReading(self)
        for what, item in pairs:
            read = self._dataset(item, what, "outputFacets", "outputStatistics")
            if read:
                outputs.append(read)
                claiming.dataset(read.name, self._object(item, "facets"), what)
        claiming.job(self._object(job_facets, "lineage"))
        if kind == "dataset" and not outputs:
            msg = self.problems[-1]
            raise SpecError(msg)
        return tuple(inputs), tuple(outputs), claiming.claims()

    def _dataset(self, item: Mapping[str, Any], what: str, own: str, counted: str) -> ObservedDataset | None:
        name = self.name(item, what)
        if name is None:
            return None
        facets = self._object(item, "facets")
        kind, docs = self._object(facets, "datasetType"), self._object(facets, "documentation")
        columns, column_docs = self._columns(facets, what)
        state, old = self._lifecycle(facets, what)
        extra = item.get(own)
        stats = _stats(extra.get(counted)) if isinstance(extra, dict) else {}
        return ObservedDataset(
            name=name,
            columns=columns,
            column_docs=column_docs,
            version=_word(self._object(facets, "version").get("datasetVersion")),
            symlinks=self._symlinks(facets, what),
            type=_word(kind.get("datasetType")),
            subtype=_word(kind.get("subType")),
            owner=self._owner(facets, what),
            documentation=_word(docs.get("description")),
            tags=self._tags(facets, what),
            stats=stats,
            lifecycle=state,
            renamed_from=old,
            facets={key: value for key, value in facets.items() if key.startswith(_OURS)},
        )

    def _columns(
        self, facets: Mapping[str, Any], what: str
    ) -> tuple[tuple[Column, ...] | None, tuple[tuple[str, str], ...]]:
        schema = facets.get("schema")
        if not isinstance(schema, dict) or not schema.get("fields"):
            return None, ()
        # The same schema comes with every event of a table; reading it column by column is most of the work.
        text = marshal.dumps(schema["fields"], 2)
        known = _SCHEMAS.get(text)
        if known is None:
            found: list[tuple[str, str]] = []
            docs: list[tuple[str, str]] = []
            before = len(self.problems)
            self._fields(schema, f"{what}.schema.", "", found, docs)
            unique = {name: Column(name, kind) for name, kind in found}
            known = tuple(unique.values()) or None, tuple(docs)
            if len(self.problems) == before:
                remember(_SCHEMAS, text, known)
        return known

    def _fields(
        self,
        item: Mapping[str, Any],
        what: str,
        above: str,
        found: list[tuple[str, str]],
        docs: list[tuple[str, str]],
    ) -> None:
        for at, field in self._list(item, "fields", what):
            name = field.get("name")
            if (
                not isinstance(name, str)
                or not name
                or "\x00" in name
                or len(above + name) > MOST_BYTES["field"]
            ):
                self.problems.append(f"{at}.name {name!r} is no column name: left out")
                continue
            found.append((above + name, str(field.get("type") or "unknown")))
            if isinstance(described := field.get("description"), str) and described:
                docs.append((above + name, described))
            if field.get("fields"):
                self._fields(field, f"{at}.", f"{above}{name}.", found, docs)

    def _lifecycle(self, facets: Mapping[str, Any], what: str) -> tuple[str | None, DatasetName | None]:
        change = self._object(facets, "lifecycleStateChange")
        state = change.get("lifecycleStateChange")
        if state is None:
            return None, None
        if state not in _LIFECYCLE:
            self.problems.append(f"{what} changed to {state!r}, which is none of {', '.join(_LIFECYCLE)}")
            return None, None
        before = self._object(change, "previousIdentifier")
        return str(state), self.name(before, f"{what}.previousIdentifier") if before else None

    def _symlinks(self, facets: Mapping[str, Any], what: str) -> tuple[DatasetName, ...]:
        if "symlinks" not in facets:
            return ()
        links = self._list(self._object(facets, "symlinks"), "identifiers", f"{what}.symlinks.")
        return tuple(name for at, link in links if (name := self.name(link, at)))

    def _owner(self, facets: Mapping[str, Any], what: str) -> str | None:
        if "ownership" not in facets:
            return None
        owners = self._list(self._object(facets, "ownership"), "owners", f"{what}.ownership.")
        return next((str(owner["name"]) for _, owner in owners if owner.get("name")), None)

    def _tags(self, facets: Mapping[str, Any], what: str) -> tuple[str, ...]:
        if "tags" not in facets:
            return ()
        tags = self._list(self._object(facets, "tags"), "tags", f"{what}.tags.")
        told = (
            f"{tag['key']}={tag['value']}" if tag.get("value") not in (None, "", "true") else str(tag["key"])
            for _, tag in tags
            if tag.get("key") and not tag.get("field") and not _tells_a_fact(tag)
        )
        return tuple(dict.fromkeys(told))

    def _parent(self, facets: Mapping[str, Any]) -> ParentRef | None:
        parent = self._object(facets, "parent")
        if not parent:
            return None
        try:
            run_id = self.text(self._object(parent, "run"), "runId", "parent.run")
            return ParentRef(self._job(self._object(parent, "job"), "parent.job"), run_id)
        except SpecError as err:
            self.problems.append(f"{err}: the run has no parent here")
            return None

    def _airflow(self, facets: Mapping[str, Any]) -> AirflowTask | None:
        of_task, of_run = facets.get("airflow"), facets.get("airflowDagRun")
        found = of_task if isinstance(of_task, dict) else of_run
        if not isinstance(found, dict):
            return None
        parts = {name: self._object(found, name) for name in ("dag", "dagRun", "task", "taskInstance")}
        dag_id = parts["dag"].get("dag_id") or parts["dagRun"].get("dag_id")
        run_id = parts["dagRun"].get("run_id")
        task_id = parts["task"].get("task_id")
        if not dag_id or not run_id or (found is of_task and not task_id):
            self.problems.append("the airflow facet does not say which task it is of: left out")
            return None
        index, tries = parts["taskInstance"].get("map_index"), parts["taskInstance"].get("try_number")
        return AirflowTask(
            TaskKey(str(dag_id), str(run_id), str(task_id or ""), index if isinstance(index, int) else -1),
            max(tries, 1) if isinstance(tries, int) else 1,
        )


def _word(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


def _tells_a_fact(tag: Mapping[str, Any]) -> bool:
    return tag.get("source") == "DATAML" and tag.get("key") in _TAGS_OF_FACTS


def _stats(facet: object) -> dict[str, int]:
    if not isinstance(facet, dict):
        return {}
    return {ours: n for key, ours in _STATS if isinstance(n := facet.get(key), int) and n >= 0}


def _kept_run(facets: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facets.items() if name in _KEPT_RUN or name.startswith(_OURS)}
