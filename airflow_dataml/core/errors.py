"""The one tree of errors; each class says whether a retry can help.

::

    DataMLError
      SpecError(ValueError)            what a person wrote is wrong             fail
        ContractError
        TrainingSpecError
        PolicyError
        ConnectionSpecError
      GateError                        data or model refused; carries a report  fail
        QualityGateError
        PromotionRefusedError
        ApprovalDeniedError
      ConflictError                    the world moved under us                 fail; the next run sees the new state
        StaleVersionError
        AliasMovedError
        LedgerVersionError
      NotFoundError(LookupError)       with "did you mean"                      fail
        AssetNotFoundError
        VersionNotFoundError
        BranchNotFoundError
      BackendError                     a system did not answer                  retry
        LedgerError
        WarehouseError
        QualityEngineError
        RegistryError
        TrainingCrashedError
      MissingExtraError(ImportError)   names the pip extra                      fail

Errors pickle with their message and keep their facts as public attributes.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DataMLError(Exception):
    """Base of every error this package raises on purpose."""


class SpecError(DataMLError, ValueError):
    """What a person wrote is wrong; a retry repeats the mistake."""


class ContractError(SpecError):
    """A data contract does not parse or asks for something no engine knows."""


class TrainingSpecError(SpecError):
    """A training spec names a module, dataset, column or argument that is not there."""


class PolicyError(SpecError):
    """A policy contradicts itself or its bounds."""


class ConnectionSpecError(SpecError):
    """A connection is missing, of the wrong kind, or points where it must not."""


class GateError(DataMLError):
    """Data or a model was refused on evidence; a retry meets the same evidence.

    :param message: what was refused and why.
    :param report: the plain-JSON report the verdict rests on; it is already in the ledger.
    """

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, report)
        self.report: dict[str, Any] = dict(report or {})

    def __str__(self) -> str:
        return str(self.args[0])


class QualityGateError(GateError):
    """A dataset broke its contract; nothing was published."""


class PromotionRefusedError(GateError):
    """A model version may not become champion."""


class ApprovalDeniedError(GateError):
    """People did not agree to a release, or were not asked, or the approval is over or of other content."""


class ConflictError(DataMLError):
    """The world moved between reading and writing; the next run sees the new state."""


class StaleVersionError(ConflictError):
    """The dataset's current version is no longer the one this write was based on."""


class AliasMovedError(ConflictError):
    """An alias points elsewhere than the decision assumed."""


class LedgerVersionError(ConflictError):
    """The ledger's schema and this code do not fit together."""


class NotFoundError(DataMLError, LookupError):
    """Something was named that does not exist."""

    @classmethod
    def from_available(cls, what: str, name: object, available: Iterable[str]) -> Self:
        """Build the error with the closest names that do exist."""
        names = sorted(set(available))
        close = difflib.get_close_matches(str(name), names, n=3)
        hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
        shown = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
        return cls(f"{what} {name!r} does not exist.{hint} Known: {shown or 'none'}.")


class AssetNotFoundError(NotFoundError):
    """No asset of that name is in the ledger."""


class VersionNotFoundError(NotFoundError):
    """The asset exists, that version of it does not."""


class BranchNotFoundError(NotFoundError):
    """No branch of that name is open."""


class BackendError(DataMLError):
    """A system did not answer; the task waits and tries again."""


class LedgerError(BackendError):
    """The ledger's database did not answer."""


class WarehouseError(BackendError):
    """The warehouse did not answer or broke off."""


class QualityEngineError(BackendError):
    """The quality engine could not be run at all."""


class RegistryError(BackendError):
    """The model registry or tracking store did not answer."""


class TrainingCrashedError(BackendError):
    """The training process died; a retry resumes from its last checkpoint."""


class MissingExtraError(DataMLError, ImportError):
    """An optional package is not installed.

    :param extra: the extra of this package that brings it.
    :param package: the import that failed.
    """

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(extra, package)
        self.extra = extra
        self.package = package

    def __str__(self) -> str:
        return f"{self.package!r} is not installed; run: pip install 'airflow-dataml[{self.extra}]'"
