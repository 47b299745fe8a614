"""What people decide about the catalog: said once, audited with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.catalog import ColumnDoc
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.ports_catalog import Curation
    from airflow_dataml.core.runs import RunIdentity


def describe_asset(
    *,
    ledger: Ledger,
    curation: Curation,
    identity: RunIdentity,
    name: str,
    said: Mapping[str, Any],
    columns: Sequence[ColumnDoc] = (),
) -> dict[str, Any]:
    """Say of an asset what its declaration does not: owner, description, importance, domain, freshness ...

    :param said: fields; ``None`` takes back what was said.
    :returns: what changed, field by field, as before and after.
    :raises SpecError: the declaration says something else; it is changed where it is written.
    """
    return _decide(
        ledger, identity, "catalog.describe", name, {"said": dict(said)},
        lambda: curation.describe(name, said, columns=columns),
    )  # fmt: skip


def tag_asset(
    *,
    ledger: Ledger,
    curation: Curation,
    identity: RunIdentity,
    name: str,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    what: str = "tags",
    column: str | None = None,
) -> dict[str, Any]:
    """Add and remove tags or terms of an asset, or of one of its columns.

    :param what: ``tags`` or ``terms``.
    """
    if not add and not remove:
        msg = f"nothing to add to {name!r} or to remove from it: name a tag."
        raise SpecError(msg)
    detail = {"add": list(add), "remove": list(remove), "what": what, "column": column}
    return _decide(
        ledger, identity, "catalog.tag", name, detail,
        lambda: curation.tag(name, add=add, remove=remove, what=what, column=column),
    )  # fmt: skip


def delete_asset(
    *, ledger: Ledger, curation: Curation, identity: RunIdentity, name: str, reason: str
) -> dict[str, Any]:
    """Take an asset out of the catalog's lists; nothing of it is lost, and a new declaration brings it back.

    :param reason: why; kept in the audit chain.
    """
    return _decide(
        ledger, identity, "catalog.delete", name, {"reason": _reason(reason)},
        lambda: curation.set_status(name, "deleted"),
    )  # fmt: skip


def restore_asset(*, ledger: Ledger, curation: Curation, identity: RunIdentity, name: str) -> dict[str, Any]:
    """Bring an asset back that was deleted or is thought missing."""
    return _decide(ledger, identity, "catalog.restore", name, {}, lambda: curation.set_status(name, "active"))


def merge_assets(
    *, ledger: Ledger, curation: Curation, identity: RunIdentity, name: str, into: str, reason: str
) -> dict[str, Any]:
    """Make two assets one that are the same thing under two names; there is no way back.

    :param name: the one that shall go; asking for it leads to ``into`` from then on.
    :param reason: why; kept in the audit chain.
    """
    return _decide(
        ledger, identity, "catalog.merge", name, {"into": into, "reason": _reason(reason)},
        lambda: curation.merge(name, into=into),
    )  # fmt: skip


def _decide(
    ledger: Ledger,
    identity: RunIdentity,
    action: str,
    name: str,
    detail: dict[str, Any],
    change: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    run = ledger.runs.begin(identity, input_digest=digest_of(action=action, name=name, detail=detail))
    with ledger.transaction():
        changes = change()
        # A retry finds it done, and says it once.
        if changes:
            ledger.audit.add(action=action, subject=name, run=run, detail=detail | {"changes": changes})
        ledger.runs.finish(run)
    return changes


def _reason(reason: str) -> str:
    if not reason.strip():
        msg = "a decision needs a reason: write reason='why it is so'."
        raise SpecError(msg)
    return reason.strip()
