"""What a dataset's versions should be, in lists: parts, versions, pointers and branches without a database.

The model knows nothing of the package but the words of its documentation; rows are tuples, a part is a list
of rows under a number, a version is a list of parts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import (
    DataMLError,
    QualityGateError,
    SpecError,
    StaleVersionError,
    VersionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = tuple[Any, ...]
_NUMBERS = itertools.count(1)


class Refused(Exception):
    """What was asked for is refused, by this error."""

    def __init__(self, error: type[DataMLError]) -> None:
        super().__init__(error)
        self.error = error


@dataclass(eq=False)
class Piece:
    """A part.

    :param derived: whether it stands for others: a rewrite of a merge, or several written as one.
    """

    rows: list[Row]
    key: str | None = None
    derived: bool = False
    gone: bool = False
    number: int = field(default_factory=lambda: next(_NUMBERS))


@dataclass(eq=False)
class State:
    """A version."""

    number: int
    pieces: list[Piece]

    @property
    def content(self) -> Counter[Row]:
        return Counter(row for piece in self.pieces for row in piece.rows)

    @property
    def readable(self) -> bool:
        return not any(piece.gone for piece in self.pieces)


@dataclass(eq=False)
class World:
    """A branch, or what everybody reads.

    :param moves: where the pointer stood, oldest first; a branch begins at its base.
    """

    moves: list[State] = field(default_factory=list)
    base: State | None = None
    own: bool = False

    @property
    def head(self) -> State | None:
        return self.moves[-1] if self.moves else None


@dataclass(eq=False)
class Staged:
    """A batch nobody sees yet."""

    piece: Piece
    mode: str
    parent: State | None = None
    removes: list[Piece] = field(default_factory=list)
    rewrites: dict[Piece, Piece] = field(default_factory=dict)

    @property
    def pieces(self) -> list[Piece]:
        return [self.piece, *self.rewrites.values()]


class Model:
    """One dataset; each verb does what the step of that name says it does, or refuses as it does."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.main = World()
        self.branches: dict[str, World] = {}
        self.waiting: list[Piece] = []

    def world(self, branch: str | None) -> World:
        return self.main if branch is None else self.branches[branch]

    def stage(
        self, rows: Sequence[Row], *, mode: str, key: str | None = None, branch: str | None = None
    ) -> Staged:
        """Rows of a merge bear a flag at their end: whether the row of that key is to go."""
        if mode != "merge":
            staged = Staged(Piece(list(rows), key), mode)
        else:
            parent = self.world(branch).head
            touched = {row[0] for row in rows}
            found = [p for p in (parent.pieces if parent else []) if any(r[0] in touched for r in p.rows)]
            rest = {p: [r for r in p.rows if r[0] not in touched] for p in found}
            rewrites = {p: Piece(left, p.key, derived=True) for p, left in rest.items() if left}
            batch = Piece([row[:-1] for row in rows if not row[-1]], derived=bool(found))
            if not batch.rows and not found:
                raise Refused(QualityGateError)
            staged = Staged(batch, mode, parent, found, rewrites)
        self.waiting += staged.pieces
        return staged

    def publish(self, staged: Staged, branch: str | None = None) -> State:
        world = self.world(branch)
        current = world.head.pieces if world.head else []
        if staged.mode == "merge":
            if staged.parent is not world.head:
                raise Refused(StaleVersionError)
            kept = [staged.rewrites.get(p) if p in staged.removes else p for p in current]
            pieces = [*(p for p in kept if p is not None), staged.piece]
        elif staged.mode == "replace":
            pieces = [staged.piece]
        elif staged.mode == "partition":
            pieces = [*(p for p in current if p.key != staged.piece.key), staged.piece]
        else:
            pieces = [*current, staged.piece]
        pieces = [p for p in pieces if p.rows] or [staged.piece]
        if any(piece.gone for piece in pieces):
            raise Refused(StaleVersionError)
        return self._show(world, pieces)

    def roll_back(self, number: int, branch: str | None = None) -> State:
        world, target = self.world(branch), self.states[number - 1]
        if target not in world.moves:
            raise Refused(SpecError)
        return self._return(world, target)

    def previous(self, branch: str | None = None) -> State:
        world = self.world(branch)
        path: list[State] = []
        for state in world.moves:
            if state in path:
                del path[path.index(state) + 1 :]
            else:
                path.append(state)
        for state in reversed(path[:-1]):
            if state.content != path[-1].content:
                return self._return(world, state)
        raise Refused(VersionNotFoundError)

    def compact(self, groups: Sequence[Sequence[int]], branch: str | None = None) -> State:
        """Write pieces together.

        :param groups: their places in what readers see.
        """
        world = self.world(branch)
        pieces = [[p] for p in self._head(world).pieces]
        for group in groups:
            rows = [row for at in group for [piece] in [pieces[at]] for row in piece.rows]
            key = pieces[group[0]][0].key
            for at in group[1:]:
                pieces[at] = []
            pieces[group[0]] = [Piece(rows, key, derived=True)]
        return self._show(world, [p for some in pieces for p in some])

    def collect(self, keep_last: int) -> None:
        readable = [s for s in self.states if s.readable]
        held = {s for s in (self.main.head, *(w.head for w in self.branches.values())) if s}
        held |= {w.base for w in self.branches.values() if w.base}
        kept = held | set(readable[-keep_last:])
        needed = {p for state in kept for p in state.pieces}
        published = {p for state in self.states for p in state.pieces}
        for piece in {p for s in readable for p in s.pieces} - needed:
            piece.gone = True
        for piece in self.waiting:
            piece.gone = piece.gone or piece not in published

    def branch(self, name: str) -> None:
        base = self.main.head
        self.branches[name] = World([base] if base else [], base)

    def drop(self, name: str) -> None:
        del self.branches[name]

    def merge(self, name: str) -> State:
        world = self.branches[name]
        if not world.own or world.head is world.base:
            raise Refused(SpecError)
        pieces = self._merged(world)
        if pieces is None:
            raise Refused(StaleVersionError)
        del self.branches[name]
        return self._show(self.main, pieces)

    def live(self) -> set[Piece]:
        """Every piece whose rows are still somewhere."""
        return {p for p in (*self.waiting, *(p for s in self.states for p in s.pieces)) if not p.gone}

    def _merged(self, world: World) -> list[Piece] | None:
        base, ours = (s.pieces if s else [] for s in (world.base, world.head))
        theirs = self.main.head.pieces if self.main.head else []
        if set(theirs) == set(base):
            return ours
        removed, added = [p for p in base if p not in ours], [p for p in ours if p not in base]
        others = [p for p in theirs if p not in base]
        took_the_same = any(p not in theirs for p in removed)
        same_batch = {p.key for p in added if p.key} & {p.key for p in others}
        by_rows = bool(removed) and any(p.key is None or p.derived for p in added)
        if took_the_same or same_batch or by_rows:
            return None
        return [*(p for p in theirs if p not in removed), *added]

    def _show(self, world: World, pieces: Iterable[Piece]) -> State:
        state = State(len(self.states) + 1, list(pieces))
        self.states.append(state)
        world.moves.append(state)
        world.own = True
        return state

    def _return(self, world: World, target: State) -> State:
        if target is world.head:
            return target
        if not target.readable:
            raise Refused(VersionNotFoundError)
        world.moves.append(target)
        world.own = True
        return target

    def _head(self, world: World) -> State:
        if world.head is None:
            raise Refused(VersionNotFoundError)
        return world.head
