"""Replay: quarantined rows, repaired or not, become a batch like any other; or they are given up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.quarantine import REASONS
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Query
from airflow_dataml.steps.ingest import stage_source
from airflow_dataml.steps.settle import close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.quarantine import Quarantined
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.ingest import Target

log = logging.getLogger(__name__)
QUARANTINED = "quarantined"


def quarantined(
    ledger: Ledger,
    asset: str,
    *,
    quarantine_id: int | None = None,
    partition_key: str | None = None,
    branch: str | None = None,
) -> tuple[Quarantined, ...]:
    """Return the quarantine of a number, or all open ones of a batch.

    :param partition_key: the batch, where no number is given.
    :param branch: the branch the batch was for, where no number is given.
    :raises NotFoundError: there is no quarantine of that number.
    :raises SpecError: it is another dataset's, or its rows were replayed or discarded.
    """
    if quarantine_id is None:
        return tuple(
            one
            for one in ledger.quarantine.open_of(asset)
            if one.partition_key == partition_key and one.branch == branch
        )
    one = ledger.quarantine.get(quarantine_id)
    if one.asset != asset:
        msg = f"quarantine {quarantine_id} holds rows of {one.asset!r}, not of {asset!r}: name one of `dataml quarantine list --asset {asset}`."
        raise SpecError(msg)
    _require_open(one)
    return (one,)


def stage_replay(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    rows_of: Sequence[Quarantined],
    repair: str | None = None,
) -> StagedPart:
    """Stage quarantined rows as a batch that is verified and published like any other.

    Publishing it closes their quarantine. Until then they stay where they are, and a replay that is refused
    changes nothing.

    :param target: where they go; ``append`` or ``merge``, for any other mode would replace what was published.
    :param rows_of: whose rows; all of one dataset.
    :param repair: a SELECT over ``quarantined``, which has the batch's columns and ``_reasons text[]``: the ids of
        the checks a row broke. Of its result the batch's columns are taken, in their types.
    :raises SpecError: the mode replaces rows, or the repair gives no column of a name the batch has.
    :raises GateError: there is no row, or a value that is not of its column's type.
    """
    if target.mode not in ("append", "merge"):
        msg = f"quarantined rows of {target.asset!r} cannot be replayed with mode={target.mode!r}, which would replace published ones: use append or merge."
        raise SpecError(msg)
    numbers = [one.quarantine_id for one in rows_of]
    with ledger.transaction():
        staged = stage_source(
            ledger=ledger,
            store=store,
            identity=identity,
            target=target,
            source=_source(ledger, rows_of, repair),
            digest=digest_of(quarantine=numbers, repair=repair),
            origin=f"quarantine {', '.join(map(str, numbers))}",
        )
        if not ledger.quarantine.replayed_by(staged.part_id):
            ledger.quarantine.link(staged.part_id, numbers)
    return staged


def discard(*, ledger: Ledger, identity: RunIdentity, quarantine_id: int, reason: str) -> Quarantined:
    """Give quarantined rows up, for a reason that stays in the audit chain; retention drops them.

    :raises NotFoundError: there is no such quarantine.
    :raises SpecError: there is no reason, or the rows were replayed or discarded already.
    """
    if not reason.strip():
        msg = f"discarding quarantine {quarantine_id} needs a reason; it stays in the audit chain."
        raise SpecError(msg)
    run = ledger.runs.begin(identity, input_digest=digest_of(quarantine=quarantine_id, reason=reason))
    with ledger.transaction():
        one = ledger.quarantine.lock(quarantine_id)
        _require_open(one)
        close(ledger, run, one, state="discarded", note=reason.strip())
        ledger.runs.finish(run)
    return ledger.quarantine.get(quarantine_id)


def _require_open(one: Quarantined) -> None:
    if one.state != "open":
        msg = (
            f"quarantine {one.quarantine_id} of {one.asset!r} {one.whereabouts}; nothing of it is left to do."
        )
        raise SpecError(msg)


def _source(ledger: Ledger, rows_of: Sequence[Quarantined], repair: str | None) -> Query:
    batches = [ledger.versions.part(one.part_id) for one in rows_of]
    columns = {column.name: column for batch in batches for column in batch.columns}
    reasons = Column(REASONS, "text[]")
    parts = [
        Part(
            part_id=batch.part_id,
            asset=batch.asset,
            locator=one.relation,
            columns=(*batch.columns, reasons),
            fingerprint=Fingerprint(one.rows),
        )
        for one, batch in zip(rows_of, batches, strict=True)
    ]
    # What a repair leaves of a type is PostgreSQL's choice; the batch keeps its own.
    names = ", ".join(
        f"{name}::{column.type} AS {name}"
        for column, name in ((c, quote_identifier(c.name)) for c in columns.values())
    )
    body = (repair or f"SELECT * FROM {QUARANTINED}").strip().rstrip(";")
    query = f"SELECT {names} FROM (\n{body}\n) repaired"
    return Query(query, {QUARANTINED: (parts, (*columns.values(), reasons))})
