"""Privileges of tables, views, columns and sequences: read as facts, and granted again elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_dataml.adapters.postgres.ddl import oid_of
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import Relation

Kind = Literal["TABLE", "SEQUENCE"]
# Without any grant a relation has its default ones, which are not written down.
_RIGHTS = """
SELECT pg_get_userbyid(acl.grantor) AS grantor,
       CASE acl.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(acl.grantee) END AS grantee,
       acl.privilege_type AS privilege, acl.is_grantable AS grantable, found."column"
FROM (SELECT coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl,
             NULL AS "column" FROM pg_class c WHERE c.oid = %s
      UNION ALL
      SELECT a.attacl, a.attname FROM pg_attribute a
      WHERE a.attrelid = %s AND a.attacl IS NOT NULL AND NOT a.attisdropped) found,
     aclexplode(found.acl) acl
ORDER BY 1, 3, 2, 5
"""


@dataclass(frozen=True, slots=True)
class Right:
    """One privilege that somebody has.

    :param grantee: a role; ``None`` is everybody.
    :param column: the one column it is for; ``None`` is the whole relation.
    """

    grantor: str
    grantee: str | None
    privilege: str
    grantable: bool = False
    column: str | None = None

    @property
    def sql(self) -> str:
        """The privilege with its column, as ``GRANT`` and ``REVOKE`` take it."""
        return self.privilege + (f" ({quote_identifier(self.column)})" if self.column else "")

    @property
    def to(self) -> str:
        """Who has it, as SQL."""
        return "PUBLIC" if self.grantee is None else quote_identifier(self.grantee)


def rights_on(db: Connection, relation: Relation) -> tuple[Right, ...]:
    """Return who may do what with a relation and its columns; the owner's own rights are among them."""
    oid = oid_of(db, relation)
    return tuple(Right(**row) for row in db.rows(_RIGHTS, [oid, oid]))


def set_rights(
    db: Connection,
    relation: Relation,
    wanted: Collection[Right],
    *,
    kind: Kind = "TABLE",
    owner: str,
) -> None:
    """Make the privileges of a relation exactly these; only what differs is executed.

    A right that came from somebody else than the owner is granted in that role where this session may
    take it, and by the owner where it may not.
    """
    have = rights_on(db, relation)
    target = f"{kind} {relation.quoted}"
    known = {(r.grantee, r.privilege, r.column): r.grantable for r in wanted}
    for right in have:
        key = (right.grantee, right.privilege, right.column)
        if key not in known:
            db.execute(f"REVOKE {right.sql} ON {target} FROM {right.to} CASCADE")
        elif right.grantable and not known[key]:
            db.execute(f"REVOKE GRANT OPTION FOR {right.sql} ON {target} FROM {right.to} CASCADE")
    for right in _in_order(wanted, owner):
        if right not in have:
            with _acting_as(db, right.grantor, owner, relation):
                option = " WITH GRANT OPTION" if right.grantable else ""
                db.execute(f"GRANT {right.sql} ON {target} TO {right.to}{option}")


def _in_order(rights: Collection[Right], owner: str) -> Iterator[Right]:
    """Yield each right after the one its grantor holds it by."""
    ready, waiting = {owner}, list(rights)
    while waiting:
        now = [r for r in waiting if r.grantor in ready] or waiting
        yield from now
        ready |= {r.grantee for r in now if r.grantee and r.grantable}
        waiting = [r for r in waiting if r not in now]


@contextmanager
def _acting_as(db: Connection, role: str, owner: str, relation: Relation) -> Iterator[None]:
    able = role != owner and db.scalar(
        "SELECT pg_has_role(current_user, %s, 'MEMBER') AND has_schema_privilege(%s, %s, 'USAGE')",
        [role, role, relation.schema],
    )
    if not able:
        yield
        return
    before = db.scalar("SELECT current_setting('role')")
    db.execute("SELECT set_config('role', %s, true)", [role])
    yield
    db.execute("SELECT set_config('role', %s, true)", [before])
