"""Contracts: what a dataset promises, in Soda's contract language, read strictly."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_extension import EXTENSION, Extension
from airflow_dataml.core.contract_parser import parse_contract
from airflow_dataml.core.contract_parts import Variable
from airflow_dataml.core.contract_yaml import write_yaml
from airflow_dataml.core.errors import ContractError, NotFoundError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.core.contract_extension import OnFail
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

DATA_SOURCE = "dataml"


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """A dataset's promises: its columns and the checks on them.

    :param source: the file, for messages.
    :param document: the parsed YAML, our block included; not to be changed.
    """

    source: str
    document: dict[str, Any]
    dataset: str
    columns: tuple[ContractColumn, ...]
    checks: tuple[ContractCheck, ...]
    variables: dict[str, Variable]
    extension: Extension

    @classmethod
    def from_file(cls, path: str | Path) -> Contract:
        """Read a contract file.

        :raises ContractError: names the file, the line, the place and, for an unknown key, the known ones.
        """
        source = f"contract {str(path)!r}"
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as err:
            msg = f"{source} cannot be read ({err.strerror}); give the path of a YAML file."
            raise ContractError(msg) from err
        except UnicodeDecodeError as err:
            msg = f"{source} is not UTF-8 text; save it as UTF-8."
            raise ContractError(msg) from err
        return cls.from_text(text, source=source)

    @classmethod
    def from_text(cls, text: str, *, source: str = "the contract") -> Contract:
        """Read a contract.

        :param source: what to call the text in messages.
        :raises ContractError: as :meth:`from_file`.
        """
        parsed = parse_contract(text, source=source)
        return cls(
            source=source,
            document=parsed.document,
            dataset=parsed.root.dataset,
            columns=parsed.columns,
            checks=parsed.checks,
            variables={name: variable or Variable() for name, variable in parsed.root.variables.items()},
            extension=parsed.root.extension,
        )

    @property
    def on_fail(self) -> OnFail:
        """What happens to data that breaks the contract."""
        return self.extension.on_fail

    @property
    def require_rows(self) -> bool:
        """Whether an empty table breaks the contract."""
        return self.extension.require_rows

    @property
    def digest(self) -> str:
        """SHA-256 of what the contract says, whatever its layout and comments."""
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every variable, with numbers as numbers.

        :param given: values by name; ``NOW`` may be given without being declared.
        :raises ContractError: a value is missing, unknown or not the number it should be.
        """
        unknown = sorted(set(given) - set(self.variables) - {"NOW"})
        if unknown:
            known = NotFoundError.from_available("variable", unknown[0], self.variables)
            msg = f"{self.source}: {known} Declare it under 'variables' or do not give it."
            raise ContractError(msg)
        values = {name: given.get(name, variable.default) for name, variable in self.variables.items()}
        missing = sorted(name for name, value in values.items() if value is None)
        if missing:
            msg = f"{self.source}: no value for variable {', '.join(missing)}; give one or write a default."
            raise ContractError(msg)
        bound = {name: self._typed(name, value) for name, value in values.items()}
        return bound | ({"NOW": given["NOW"]} if "NOW" in given else {})

    def document_for(
        self, relation: Relation, *, database: str, references: Mapping[str, Relation] | None = None
    ) -> dict[str, Any]:
        """Return a copy of the document that names the tables really read, without our block.

        :param relation: the table or view to verify, such as a staged table.
        :param database: the database it is in.
        :param references: dataset named in ``valid_reference_data``, in full or by its last word -> the
            table to read instead. One that is not named here is read where the contract says.
        :raises ContractError: a reference that no check names.
        """
        document = {key: value for key, value in copy.deepcopy(self.document).items() if key != EXTENSION}
        document["dataset"] = _dqn(database, relation)
        places = [
            place["valid_reference_data"]
            for place in _mappings(document)
            if place.get("valid_reference_data")
        ]
        named = {word for place in places for word in (place["dataset"], place["dataset"].rsplit("/", 1)[-1])}
        for unknown in sorted(set(references or {}) - named):
            known = NotFoundError.from_available("reference dataset", unknown, named)
            msg = f"{self.source}: {known} Name one that a valid_reference_data names."
            raise ContractError(msg)
        for place in places:
            place["dataset"] = _dqn(database, _referred(place["dataset"], references or {}))
        return document

    def text_for(
        self, relation: Relation, *, database: str, references: Mapping[str, Relation] | None = None
    ) -> str:
        """Return the YAML of :meth:`document_for`."""
        return write_yaml(self.document_for(relation, database=database, references=references))

    def _typed(self, name: str, value: Any) -> Any:
        variable = self.variables[name]
        wants_number = variable.type == "number" or isinstance(variable.default, int | float)
        if not wants_number or not isinstance(value, str):
            return value
        try:
            return int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        except ValueError as err:
            msg = f"{self.source}: variable {name!r} must be a number, not {value!r}."
            raise ContractError(msg) from err


def _dqn(database: str, relation: Relation) -> str:
    return f"{DATA_SOURCE}/{database}/{relation.schema}/{relation.name}"


def _referred(dataset: str, references: Mapping[str, Relation]) -> Relation:
    words = dataset.split("/")
    given = references.get(dataset) or references.get(words[-1])
    return given or Relation(words[-2] if len(words) > 3 else "public", words[-1])


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inside)
