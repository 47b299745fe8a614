"""Where a pointer goes when it goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def path_of(moves: Iterable[int | None]) -> tuple[int, ...]:
    """Return the versions that led to where a pointer stands, oldest first.

    Going back shortens the path, so that going back twice goes back twice, and does not return to what
    was left. What is published afterwards lengthens it again.

    >>> path_of([1, 2, 3, 2]), path_of([1, 2, 3, 2, 4])
    ((1, 2), (1, 2, 4))
    >>> path_of([1, 2, None, 3])
    (3,)
    """
    path: list[int] = []
    for version in moves:
        if version is None:
            path.clear()
        elif version in path:
            del path[path.index(version) + 1 :]
        else:
            path.append(version)
    return tuple(path)
