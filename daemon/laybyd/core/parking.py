"""The lay-by itself: puts messages into the deferred and dead lanes, and takes them out again.

Owns the one way in which parked records change: the state ops, the account and the head of the
queue together. Must never know what an outcome is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laybyd.core.account import Account
from laybyd.core.deferred import Deferred
from laybyd.core.effects import Effect, Note, Park, Unpark
from laybyd.core.intervals import ByPosition, RangeSet
from laybyd.core.journal import Journal
from laybyd.core.leases import Held
from laybyd.core.rules import News, cut, cut_pieces
from laybyd.core.settings import GroupSettings
from laybyd.core.space import Space
from laybyd.core.types import DEFERRED, GroupRecord, Parked, Piece

Watcher = Callable[[int, int], None]


class Parking:
    """`watchers` are told of every range whose record changes, while a look-up is under way."""

    def __init__(
        self,
        group: GroupRecord,
        account: Account,
        journal: Journal,
        deferred: Deferred,
        space: Space,
        is_forgotten: Callable[[str, int], bool],
        out: list[Effect],
    ) -> None:
        self.group = group
        self._account = account
        self._journal = journal
        self._deferred = deferred
        self._space = space
        self._is_forgotten = is_forgotten
        self._out = out
        self._over: set[str] = set()
        self.watchers: dict[int, Watcher] = {}

    def admit(self, news: News, pieces: Sequence[Piece], settings: GroupSettings, now: int) -> None:
        """Messages of the live lane become records with bytes of their own; or, where there is no
        room for those, records that pin the log."""
        for lane, record in self._without_forgotten(news):
            body = cut_pieces(pieces, record.first, record.last)
            if body and self._is_over(lane, record.size, settings):
                for piece in body:
                    part = cut(record, piece.first, piece.last)
                    part = part._replace(block=piece.block, in_log=True)
                    self._park(lane, part, (), None, now)
                    self._wait(lane, part)
            else:
                record = record._replace(block=record.first)
                self._park(lane, record, body, None, now)
                self._wait(lane, record)

    def replace(
        self,
        lane: str,
        old: Parked,
        news: News,
        held: Sequence[Parked],
        now: int,
        undone: int = 0,
    ) -> list[Parked]:
        """Instead of `old` there are now `news`, which wait, and `held`, which stay out. Gives
        the held ones as they are now."""
        self._watch(old)
        self._journal.reads_body(old.block)
        self._account.remove(lane, old)
        self._deferred.remove(old)
        targets = [(to, record, True) for to, record in self._without_forgotten(news)]
        targets += [(lane, record, False) for record in held]
        if not targets:
            self._journal.add(Unpark(lane, old, body=not old.in_log), now)
            return []
        kept = _keeper(old, targets)
        if kept is not None:
            targets.insert(0, targets.pop(kept))
        still_held = []
        for number, (to, record, waits) in enumerate(targets):
            record, body = _with_bytes(lane, old, record, keeps=number == 0 and kept is not None)
            self._park(to, record, body, (lane, old) if number == 0 else None, now)
            if waits:
                self._wait(to, record, undone)
            else:
                self._deferred.out.add(record)
                still_held.append(record)
        return still_held

    def change_held(
        self, records: ByPosition[Held], held: Held, part: Parked, news: News, now: int
    ) -> None:
        """`part` of a record that is out becomes `news`; the rest of it stays out."""
        record = held.record
        records.pop(record.first)
        gaps = RangeSet([(part.first, part.last)]).gaps(record.first, record.last)
        rest = [cut(record, *gap) for gap in gaps]
        for still in self.replace(DEFERRED, record, news, rest, now, held.undone):
            records.add(Held(still, held.undone))

    def put_back(self, held: Held, now: int) -> None:
        """It was out and nothing came of it."""
        if self._is_forgotten(held.record.topic, held.last):
            self.replace(DEFERRED, held.record, [], (), now)
        else:
            self._deferred.put_back(held.record, held.undone + 1)

    def _without_forgotten(self, news: News) -> News:
        """Nothing of a deleted topic begins to wait."""
        return [
            (lane, record)
            for lane, record in news
            if lane != DEFERRED or not self._is_forgotten(record.topic, record.last)
        ]

    def _park(
        self,
        lane: str,
        record: Parked,
        body: tuple[Piece, ...],
        old: tuple[str, Parked] | None,
        now: int,
    ) -> None:
        self._watch(record)
        self._account.add(lane, record)
        self._journal.add(Park(lane, record, body, old), now)

    def _wait(self, lane: str, record: Parked, undone: int = 0) -> None:
        if lane == DEFERRED:
            self._deferred.insert(record, undone)

    def _watch(self, record: Parked) -> None:
        for watcher in self.watchers.values():
            watcher(record.first, record.last)

    def _is_over(self, lane: str, size: int, settings: GroupSettings) -> bool:
        limit = settings.deferred_bytes if lane == DEFERRED else settings.dead_bytes
        over = self._space.state_full or self._account.size[lane] + size > limit
        if over and lane not in self._over:
            self._over.add(lane)
            fields = {"group": self.group.name, "lane": lane, "limit": limit}
            self._out.append(Note("parked_in_log", fields))
        elif not over:
            self._over.discard(lane)
        return over


def _keeper(old: Parked, targets: Sequence[tuple[str, Parked, bool]]) -> int | None:
    """Which of the successors keeps the stored bytes as they are: one at most, and none if another
    will store its own in that place."""
    if old.in_log:
        return None
    waiting = [record for _, record, waits in targets if waits]
    whole = (old.first, old.last)
    if len(targets) == 1 and waiting and (waiting[0].first, waiting[0].last) == whole:
        return 0 if old.block == old.first else None
    if any(record.first == old.block for record in waiting):
        return None
    held = [number for number, (_, _, waits) in enumerate(targets) if not waits]
    return max(held, key=lambda number: _claim(old, targets[number][1]), default=None)


def _claim(old: Parked, record: Parked) -> tuple[bool, int]:
    return record.first == old.block, record.messages


def _with_bytes(
    lane: str, old: Parked, record: Parked, keeps: bool
) -> tuple[Parked, tuple[Piece, ...]]:
    if old.in_log:
        return record._replace(block=old.block, in_log=True), ()
    if keeps:
        return record._replace(block=old.block), ()
    piece = Piece(record.first, record.last, old.block, lane)
    return record._replace(block=record.first, in_log=False), (piece,)
