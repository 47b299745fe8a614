"""Operators that keep datasets small: retention and compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.operators.base import (
    DataMLOperator,
    authored,
    branch_of,
    place_for,
    register,
    store_of,
)
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.retain import collect, retention_of, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class DatasetRetainOperator(DataMLOperator):
    """Delete the rows of versions that nobody holds and no rule keeps; the versions stay in the ledger.

    Aliases, branches, pins of models and open incidents hold a version whatever the policy says.

    :param dataset: the dataset.
    :param policy: a ``RetentionPolicy``, or its fields: ``keep_last``, ``keep_days``, ``abandon_hours``.
    :param dry_run: return the plan and touch nothing.
    :param sweep_strays: also delete what killed tasks left in the store, of any dataset.
    """

    def __init__(
        self,
        *,
        dataset: Asset,
        policy: RetentionPolicy | Mapping[str, Any],
        dry_run: bool = False,
        sweep_strays: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.policy = policy
        self.only_plan = dry_run
        self.sweep_strays = sweep_strays

    def declares(self) -> Declared:
        """Return the dataset; what its readers see stays."""
        return Declared(kind="RETENTION", inputs=[self.dataset], subject=self.dataset)

    def execute(self, context: Context) -> dict[str, Any]:
        """Collect, and return the plan that was carried out."""
        self.link(context, self.dataset.name)
        policy = authored(RetentionPolicy, self.policy)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            if self.only_plan:
                return retention_of(ledger=ledger, asset=self.dataset.name, policy=policy).to_dict()
            store, identity = store_of(ledger, self.dataset), self.identity(context)
            plan = collect(
                ledger=ledger, store=store, identity=identity, asset=self.dataset.name, policy=policy
            )
            self.tell(
                ledger, decision={"action": "retain", "asset": self.dataset.name, "facts": plan.to_dict()}
            )
            swept = sweep(ledger=ledger, store=store, identity=identity) if self.sweep_strays else None
        return plan.to_dict() | ({"swept": swept.to_dict()} if swept else {})


class DatasetCompactOperator(DataMLOperator):
    """Write many small parts of a dataset as one, as a version of equal content.

    Readers of a dataset of many parts plan longer; readers of old versions are not touched, and the old
    parts stay until retention collects them.

    :param dataset: the dataset; it becomes an outlet of the task.
    :param policy: a ``CompactionPolicy``, or its fields: ``target_rows``, ``min_parts``.
    :param branch: compact a branch; ``dataml_branch`` of the run's configuration unless given. Templated.
    """

    template_fields: Sequence[str] = ("branch",)

    def __init__(
        self,
        *,
        dataset: Asset,
        policy: CompactionPolicy | Mapping[str, Any] | None = None,
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[dataset, *kwargs.pop("outlets", [])], **kwargs)
        self.dataset = dataset
        self.policy = policy
        self.branch = branch

    def declares(self) -> Declared:
        """Return the dataset, which is read and written."""
        return Declared(
            kind="COMPACTION", inputs=[self.dataset], outputs=[self.dataset], subject=self.dataset
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Compact and return the version readers see."""
        self.link(context, self.dataset.name)
        branch = branch_of(context, self.branch)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            before = ledger.versions.head(self.dataset.name, branch=branch)
            version = compact(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                place=place_for(ledger, self.dataset, branch=branch),
                policy=authored(CompactionPolicy, self.policy),
            )
            parts = len(ledger.versions.manifest(version.version_id))
            made = before is None or before.version_id != version.version_id
            self.tell(ledger, read=[before or version], wrote=[version] if made else [])
        self.announce(context, self.dataset, version, branch=branch)
        return {"version": version.ref, "parts": parts, "fingerprint": version.fingerprint}
