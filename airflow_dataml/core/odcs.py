"""Contracts to and from the Open Data Contract Standard (https://bitol.io), v3.

An exported contract is a whole document of the standard, v3.0.2: columns, types, keys, bounds and library
rules where it has words for them, and every check once more in Soda's own words as a ``custom`` rule.
Imported again it is the same contract, to the digest. A document from elsewhere is read as far as Soda's
language goes, and what does not fit is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_text import write_readable
from airflow_dataml.core.odcs_export import odcs_document
from airflow_dataml.core.odcs_import import read_odcs

if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class ImportedContract:
    """A contract read from a document of the standard.

    :param text: the contract, to be kept in a file.
    :param warnings: what has no place in it, one line each: source, line, place and reason.
    """

    text: str
    contract: Contract
    warnings: tuple[str, ...]


def export_odcs(contract: Contract, **about: Any) -> str:
    """Write a contract as a document of the standard.

    :param about: ``version`` and ``status`` of the document, the dataset's ``owner``, and the ``host`` and
        ``port`` of its PostgreSQL server; without a host the server is of type ``custom``.
    """
    return write_readable(odcs_document(contract, **about))


def import_odcs(
    text: str, *, source: str = "the document", schema: str | None = None, server: str | None = None
) -> ImportedContract:
    """Read a document of the standard as a contract.

    :param schema: the table to read, where the document describes several.
    :param server: the server it is on; the first unless given.
    :raises ContractError: it is no such document, names no such table or server, or makes no contract.
    """
    read = read_odcs(text, source=source, schema=schema, server=server)
    written = write_readable(read.document)
    return ImportedContract(written, Contract.from_text(written, source=source), read.warnings)
