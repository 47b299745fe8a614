"""Column lineage of SQL text: parsed, resolved with the catalog's schemas, and never more than a moment's work."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.column_lineage import QueryLineage, Schemas

EXTRA = "lineage"
_KEPT = 2048
# Nobody writes more by hand; a text beyond it is told by its tables.
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found, and what of the schemas it rests on."""

    consulted: Mapping[str, tuple[str, ...] | None]
    found: tuple[QueryLineage | None, ...]


class SqlglotParser:
    """A ``ColumnParser`` for every dialect that sqlglot reads.

    It raises nothing on SQL it does not understand: such a statement is told by its tables, with
    ``method='table'``, a low confidence and the reason. Answers are kept by the digest of the text and the
    schemas of the tables it names.

    :param limit_s: seconds one text may take; what is left of it then is told by its tables.
    :raises MissingExtraError: sqlglot is not installed.
    """

    def __init__(self, *, limit_s: float = 2.0) -> None:
        if not _installed():
            raise MissingExtraError(EXTRA, "sqlglot")
        self._limit_s = limit_s
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._lock = threading.Lock()

    def parse(
        self,
        sql: str,
        *,
        dialect: str = "postgres",
        schemas: Schemas | None = None,
        default_schema: str | None = None,
    ) -> tuple[QueryLineage | None, ...]:
        """Return one entry per statement, ``None`` for one that moves no rows; see ``ColumnParser``.

        Statements that write within a WITH have entries of their own, before the one they are in.

        :raises SpecError: sqlglot has no such dialect.
        """
        known = schemas or {}
        key = hashlib.sha256("\0".join((dialect, default_schema or "", sql)).encode()).hexdigest()
        with self._lock:
            answer = self._answers.get(key)
        if answer is not None and _holds(answer, known):
            return answer.found
        answer = self._read(sql, dialect, known, default_schema)
        with self._lock:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return answer.found

    def _read(self, sql: str, dialect: str, schemas: Schemas, default_schema: str | None) -> _Answer:
        from airflow_dataml.adapters.sqlglot.clock import Clock
        from airflow_dataml.adapters.sqlglot.names import Names
        from airflow_dataml.adapters.sqlglot.reading import check_dialect, read_statements
        from airflow_dataml.adapters.sqlglot.tables import tables_in_text

        check_dialect(dialect)
        names = Names(schemas, dialect=dialect, default_schema=default_schema)
        if len(sql) > _LONGEST:
            reason = f"the text has {len(sql)} characters, more than {_LONGEST}"
            return _Answer(names.consulted, (tables_in_text(sql, names, reason),))
        found = read_statements(sql, dialect=dialect, names=names, clock=Clock(self._limit_s))
        return _Answer(names.consulted, found)


def parser_if_installed() -> SqlglotParser | None:
    """Return a parser, or nothing where the extra is not installed."""
    return SqlglotParser() if _installed() else None


def _installed() -> bool:
    # Looked for and not imported: most tasks never need it.
    return importlib.util.find_spec("sqlglot") is not None


def _holds(answer: _Answer, schemas: Schemas) -> bool:
    for name, columns in answer.consulted.items():
        known = schemas.get(name)
        if (None if known is None else tuple(known)) != columns:
            return False
    return True
