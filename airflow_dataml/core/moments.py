"""Mean and deviation of numbers that come in blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Moments:
    """Mean and population deviation of numbers that come in blocks, merged as Chan, Golub and LeVeque do.

    :ivar count: how many numbers there were.
    :ivar mean: their mean; 0 before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Count a block in; it holds no NaN."""
        import numpy as np

        if not values.size:
            return
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        if not self.count:
            self.count, self.mean, self._squares = values.size, mean, squares
            return
        total, apart = self.count + values.size, mean - self.mean
        self._squares += squares + apart * apart * (self.count * (values.size / total))
        self.mean += apart * (values.size / total)
        self.count = total

    @property
    def std(self) -> float:
        """The population standard deviation; 0 before the first number."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
