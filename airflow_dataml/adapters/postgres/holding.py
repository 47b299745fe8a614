"""Several views kept from their readers at once, before any of them is switched."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.views import in_short_waits, longer_and_longer
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.stores import Place

_BURST = 12
_OWNER = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'v'"


def hold_views(db: Connection, places: Iterable[Place]) -> None:
    """Take the views of some places until the transaction ends: all of them, or none for now.

    Whoever held one and waited for another would, with a reader that takes them the other way round, wait
    for as long as that reader does.

    :raises LedgerError: readers kept them busy all the time; a retry may find them free.
    """
    views = [Relation.parse(place.location).quoted for place in places if place.ours]
    owners = {view: db.scalar(_OWNER, [view]) for view in views}
    held = [(view, owner) for view, owner in owners.items() if owner]

    def take() -> None:
        # Readers that take them in this order are through at the first view; others may be at the next try.
        held.reverse()
        for view, owner in held:
            # It is its owner's already; the lock is taken all the same, and not on the tables below.
            db.execute(f"ALTER VIEW {view} OWNER TO {quote_identifier(owner)}")

    if len(held) > 1:
        in_short_waits(
            db, take, what=f"views {', '.join(sorted(view for view, _ in held))}", waits=_mostly_short()
        )


def _mostly_short() -> Iterator[int]:
    """Milliseconds to wait in each try.

    A reader that holds one view and comes to wait behind us at another lets go only when we do, so most tries
    look for a moment without such a reader; a reader that takes long needs the long ones.
    """
    for longer in longer_and_longer():
        yield from (random.randint(1, 5) for _ in range(_BURST))  # noqa: S311 - no secret
        yield longer
