"""Which quality engine runs a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import ContractError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.quality import QualityEngine

EngineName = Literal["auto", "native", "soda"]
ENGINES: tuple[EngineName, ...] = ("auto", "native", "soda")


def engine_for(name: EngineName, contract: Contract, *, connect: Callable[[], Any]) -> QualityEngine:
    """Return the engine a task asked for; ``auto`` is the native one where it has an answer to every check.

    :param connect: opens another connection to the database that is read.
    :raises ContractError: the native engine was asked for, and does not know every check.
    :raises MissingExtraError: Soda is needed and not installed.
    """
    from airflow_dataml.adapters.native import NativeEngine, covers
    from airflow_dataml.adapters.soda import SodaEngine

    if name not in ENGINES:
        msg = f"engine {name!r} is unknown: write one of {', '.join(ENGINES)}."
        raise SpecError(msg)
    unknown = covers(contract)
    if name == "native" and unknown:
        msg = f"{contract.source}: the native engine has no answer to {', '.join(unknown)}: write engine='auto' or 'soda'."
        raise ContractError(msg)
    if name == "soda" or unknown:
        soda = SodaEngine()
        soda.version()
        return soda
    return NativeEngine(connect=connect)
