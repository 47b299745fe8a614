"""How a part was made by a query, so that it can be made again from other versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.facets import HIDDEN, parameters
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSFORM = "transform"


@dataclass(frozen=True, slots=True)
class Transform:
    """A query over exact versions.

    :param inputs: name in the query -> version id.
    :param parameters: values for ``%(name)s``; ``None`` where they cannot be kept: one is no JSON, or may be a
        secret by its name. Such a query is known and cannot be run again.
    """

    sql: str
    inputs: Mapping[str, int]
    parameters: Mapping[str, Any] | None

    @classmethod
    def of(cls, sql: str, inputs: Mapping[str, int], values: Mapping[str, Any] | None) -> Self:
        """Return the transform, its parameters left out where they cannot be kept.

        >>> Transform.of("SELECT 1", {}, {"month": "2013-01"}).parameters
        {'month': '2013-01'}
        >>> Transform.of("SELECT 1", {}, {"api_token": "x"}).parameters is None
        True
        """
        given = dict(values or {})
        plain = all(isinstance(value, str | int | float | bool | None) for value in given.values())
        secret = HIDDEN in parameters(given).values()
        return cls(sql, dict(inputs), given if plain and not secret else None)

    @property
    def digest(self) -> str:
        """Content address of the text, whatever it was run on."""
        return digest_of(sql=" ".join(self.sql.split()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        kept = dict(self.parameters) if self.parameters is not None else None
        return {"sql": self.sql, "inputs": dict(self.inputs), "parameters": kept}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(str(data["sql"]), dict(data["inputs"]), data["parameters"])
