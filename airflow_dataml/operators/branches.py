"""Operators that try changes on a copy-on-write branch and publish them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import BranchNotFoundError, QualityGateError
from airflow_dataml.core.facets import outcome
from airflow_dataml.operators.base import DataMLOperator, event_facts, ref_of, register
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.branches import create_branch, diff_branch, drop_branch, merge_branch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class BranchCreateOperator(DataMLOperator):
    """Make a branch: a schema of views over what is current; no row is copied.

    Tasks write on it with ``branch=``, or all of a run's with ``dataml_branch`` in its configuration. A branch
    of that name that this very task made in an earlier try is kept.

    :param branch: name of the branch. Templated.
    :param datasets: datasets on it; all of them unless given. One written there later joins by itself.
    """

    template_fields: Sequence[str] = ("branch",)

    def __init__(self, *, branch: str, datasets: Sequence[Asset | str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branch = branch
        self.datasets = datasets

    def declares(self) -> Declared:
        """Return the datasets that are named."""
        return Declared(kind="BRANCH", inputs=list(self.datasets or ()))

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the branch and return where it is."""
        with self.ledger() as ledger:
            branch = create_branch(
                ledger=ledger,
                store=ledger.store,
                identity=self.identity(context),
                name=self.branch,
                assets=None if self.datasets is None else [ref_of(asset) for asset in self.datasets],
            )
            self.tell(ledger, read=[head.base_id for head in branch.heads if head.base_id])
        return {
            "branch": branch.name,
            "schema": branch.schema,
            "datasets": {head.asset: head.base for head in branch.heads},
        }


class BranchDiffOperator(DataMLOperator):
    """Compare what a branch changed with what everybody reads: rows, schema, distributions, check verdicts.

    :param branch: name of the branch. Templated.
    :param samples: rows of each kind to show; they are data, so think of ``mask``.
    :param mask: columns whose values are not shown.
    :param require_mergeable: fail when both sides changed the same rows, or a check of the branch did not pass.
    """

    template_fields: Sequence[str] = ("branch",)

    def __init__(
        self,
        *,
        branch: str,
        samples: int = 5,
        mask: Sequence[str] = (),
        require_mergeable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.branch = branch
        self.samples = samples
        self.mask = mask
        self.require_mergeable = require_mergeable

    def declares(self) -> Declared:
        """Return that versions are compared; which ones the branch knows."""
        return Declared(kind="COMPARISON")

    def execute(self, context: Context) -> dict[str, Any]:
        """Print the diff, and return it with its Markdown."""
        del context
        with self.ledger() as ledger:
            found = diff_branch(
                ledger=ledger, store=ledger.store, name=self.branch, samples=self.samples, mask=self.mask
            )
            tests = [
                outcome(
                    change.head, "fail" if change.conflict else change.verdict or "unknown", type="branch"
                )
                for change in found.changes
            ]
            self.tell(
                ledger,
                read=[ref for change in found.changes for ref in (change.head, change.asset)],
                tests=tuple(tests),
            )
        self.log.info("%s", found.to_text())
        unfit = [change.head for change in found.changes if change.unfit]
        if self.require_mergeable and unfit:
            msg = f"branch {self.branch!r} cannot be merged because of {', '.join(unfit)}: see the diff in this log."
            raise QualityGateError(msg, found.to_dict())
        return {
            "branch": self.branch,
            "mergeable": found.mergeable,
            "datasets": [change.head for change in found.changes],
            "markdown": found.to_markdown(),
        }


class BranchMergeOperator(DataMLOperator):
    """Publish everything a branch changed for everybody, in one transaction, and close it.

    :param branch: name of the branch. Templated.
    :param datasets: what the branch writes; they become outlets, whose events carry the new versions. An
        event of one the branch did not change is not emitted.
    :param reason: kept in the audit chain. Templated.
    """

    template_fields: Sequence[str] = ("branch", "reason")

    def __init__(
        self, *, branch: str, datasets: Sequence[Asset] = (), reason: str = "", **kwargs: Any
    ) -> None:
        super().__init__(outlets=[*datasets, *kwargs.pop("outlets", [])], **kwargs)
        self.branch = branch
        self.datasets = datasets
        self.reason = reason

    def declares(self) -> Declared:
        """Return the datasets that the branch writes."""
        return Declared(kind="MERGE", outputs=list(self.datasets))

    def execute(self, context: Context) -> dict[str, Any]:
        """Merge and return the new versions."""
        with self.ledger() as ledger:
            for asset in self.datasets:
                register(ledger, asset)
            versions = merge_branch(
                ledger=ledger,
                store=ledger.store,
                identity=self.identity(context),
                name=self.branch,
                reason=self.reason,
            )
            merged = [str(version.facts["merged"]) for version in versions]
            self.tell(ledger, read=merged, wrote=versions)
        made = {version.asset: version for version in versions}
        for asset in self.datasets:
            if asset.name not in made:
                self.outlets = [outlet for outlet in self.outlets if outlet != asset]
                continue
            version = made[asset.name]
            context["outlet_events"][asset].extra = event_facts(
                version.ref, rows=version.rows, fingerprint=version.fingerprint
            )
        return {"branch": self.branch, "versions": [version.ref for version in versions]}


class BranchDropOperator(DataMLOperator):
    """Close a branch without merging it; there being none is no error, so that it can tidy up after anything.

    :param branch: name of the branch. Templated.
    """

    template_fields: Sequence[str] = ("branch",)

    def __init__(self, *, branch: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branch = branch

    def declares(self) -> Declared:
        """Return that the branch's views go."""
        return Declared(kind="DROP")

    def execute(self, context: Context) -> dict[str, Any]:
        """Close the branch."""
        with self.ledger() as ledger:
            try:
                branch = drop_branch(
                    ledger=ledger, store=ledger.store, identity=self.identity(context), name=self.branch
                )
            except BranchNotFoundError:
                return {"branch": self.branch, "dropped": False}
            heads = [head.head_id for head in branch.changed if head.head_id]
            self.tell(ledger, wrote=heads, change="DROP")
        return {"branch": self.branch, "dropped": True}
