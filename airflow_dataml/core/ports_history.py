"""The port through which checks that learn ask for the past of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.history import PastBatch, Publications


class History(Protocol):
    """What readers of a dataset have seen, in order; what was only on a branch is not part of it."""

    def batches(
        self, asset: str, *, columns: Sequence[str] = (), checks: Sequence[str] = (), limit: int = 90
    ) -> list[PastBatch]:
        """Return the newest batches that were published, oldest first.

        :param columns: columns whose profiles are wanted, without histograms and values.
        :param checks: ids of the checks whose results are wanted.
        """

    def publications(self, asset: str, *, limit: int = 365) -> Publications:
        """Return when the newest versions became what readers see, oldest first."""
