"""The delivery state between the core's words and the store's map: written here, read back here.

Owns which records a state op touches, and how they become groups and parked messages again. Must
never know delivery rules, threads or an engine: all it needs of a store is `read_state`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from laybyd.core import effects as fx
from laybyd.core.types import DEAD, DEFERRED, POSITION_END, GroupState
from laybyd.store import keys, values
from laybyd.store.base import Damaged, Erase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from laybyd.core.types import GroupRecord, Parked
    from laybyd.store.base import Fence, Put, Store

PAGE = 1_024
"""Pairs asked for at once where everything is read."""

ALL = (b"\1", b"\xff")
"""The range of every key there may be."""


class Readable(Protocol):
    def read_state(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]: ...


# ---- to the store -----------------------------------------------------------------------------


def encode(ops: Iterable[fx.StateOp], body_of: Callable[[fx.Park], bytes | None]) -> list[Put]:
    """The puts of one commit. `body_of` packs the bytes of a Park that has pieces, as they were
    before the commit; where it gives None (damaged) the record goes without."""
    puts: list[Put] = []
    clock = 0
    for op in ops:
        if isinstance(op, fx.Park):
            _park(op, body_of, puts)
            clock = max(clock, op.record.due_us - op.record.delay_us)
        else:
            _ENCODERS[type(op)](op, puts)
    if clock:
        _put(puts, keys.CLOCK, clock)
    return puts


def _save_group(op: fx.SaveGroup, puts: list[Put]) -> None:
    _put(puts, keys.group(op.record.gid), op.record)


def _drop_group(op: fx.DropGroup, puts: list[Put]) -> None:
    puts += [Erase(*keys.all_of_group(letter, op.gid)) for letter in keys.OF_GROUP]
    # The highest mark alone tells which numbers are used up.
    puts.append(Erase(keys.dropped(0), keys.dropped(op.gid)))
    _put(puts, keys.dropped(op.gid), op.gid)


def _delta(op: fx.Delta, puts: list[Put]) -> None:
    _put(puts, keys.delta(op.gid, op.number), op.ranges)


def _snapshot(op: fx.Snapshot, puts: list[Put]) -> None:
    puts.append(Erase(keys.delta(op.gid, 0), keys.delta(op.gid, op.number + 1)))
    _put(puts, keys.floor(op.gid), (op.floor, op.done))


def _account(op: fx.Account, puts: list[Put]) -> None:
    _put(puts, keys.account(op.gid), tuple(op)[1:])


def _park(op: fx.Park, body_of: Callable[[fx.Park], bytes | None], puts: list[Put]) -> None:
    record = op.record
    if op.old is not None:
        lane, old = op.old
        _remove(lane, old, puts)
        if not old.in_log and (record.in_log or old.block != record.block):
            puts.append((keys.body(old.gid, old.block), None))
    _put(puts, keys.record(op.lane, record.gid, record.last), record)
    if op.lane == DEFERRED:
        timer = keys.timer(record.gid, record.due_us, record.first)
        puts.append((timer, keys.position(record.last)))
    if record.in_log:
        _put(puts, keys.pin(record.gid, record.last), record.first)
    if op.body and (body := body_of(op)) is not None:
        puts.append((keys.body(record.gid, record.block), body))


def _unpark(op: fx.Unpark, puts: list[Put]) -> None:
    _remove(op.lane, op.record, puts)
    if op.body and not op.record.in_log:
        puts.append((keys.body(op.record.gid, op.record.block), None))


def _remove(lane: str, record: Parked, puts: list[Put]) -> None:
    puts.append((keys.record(lane, record.gid, record.last), None))
    if lane == DEFERRED:
        puts.append((keys.timer(record.gid, record.due_us, record.first), None))
    if record.in_log:
        puts.append((keys.pin(record.gid, record.last), None))


def _forget(op: fx.ForgetTopic, puts: list[Put]) -> None:
    if op.below:
        _put(puts, keys.forgotten(op.topic), op.below)
    else:
        puts.append((keys.forgotten(op.topic), None))


def _put(puts: list[Put], key: bytes, meaning: object) -> None:
    puts.append((key, values.seal(key, meaning)))


_ENCODERS: dict[type, Callable[..., None]] = {
    fx.SaveGroup: _save_group,
    fx.DropGroup: _drop_group,
    fx.Delta: _delta,
    fx.Snapshot: _snapshot,
    fx.Account: _account,
    fx.Unpark: _unpark,
    fx.ForgetTopic: _forget,
}


# ---- from the store ---------------------------------------------------------------------------


def load_groups(store: Store) -> list[GroupState]:
    """Every group, in the order of their making. State beyond the log's end is left out: it can
    only come from a backup whose state is younger than its log."""
    gids = [keys.gid_of(key) for key, _ in scan(store, *keys.all_of(keys.GROUP))]
    return load_groups_at(store, store.facts().end, gids)


def load_groups_at(store: Readable, end: int, gids: Iterable[int]) -> list[GroupState]:
    return [_group_state(store, _group(store, gid), end) for gid in gids]


def _group(store: Readable, gid: int) -> GroupRecord:
    return values.group(_one(store, keys.group(gid), None))


def _group_state(store: Readable, record: GroupRecord, end: int) -> GroupState:
    gid = record.gid
    floor, done = _floor(store, record)
    ranges = [*done, *(one for _, part in _deltas(store, gid) for one in part)]
    deferred, deferred_bytes, dead, dead_bytes = _one(store, keys.account(gid), (0, 0, 0, 0))
    return GroupState(
        record=record,
        floor=min(floor, end),
        done=values.merged(ranges, floor, end),
        pinned=values.merged(list(load_pins(store, gid)), 0, POSITION_END),
        deferred=deferred,
        deferred_bytes=deferred_bytes,
        dead=dead,
        dead_bytes=dead_bytes,
    )


def load_pins(store: Readable, gid: int) -> Iterator[tuple[int, int]]:
    """The records of the group whose bytes are still in the log."""
    for key, value in scan(store, *keys.all_of_group(keys.PIN, gid)):
        yield int(values.unseal(key, value)), keys.pinned_by(key)


def load_next_gid(store: Readable) -> int:
    """The number of the next group; numbers of dropped groups are never used again."""
    used = [keys.gid_of(key) for key, _ in scan(store, *keys.all_of(keys.GROUP))]
    used += [keys.gid_of(key) for key, _ in scan(store, *keys.all_of(keys.DROPPED))]
    return max(used, default=0) + 1


def load_forgotten(store: Readable) -> dict[str, int]:
    return {
        keys.topic_of(key): values.unseal(key, value)
        for key, value in scan(store, *keys.all_of(keys.FORGOTTEN))
    }


def load_clock(store: Readable) -> int:
    """When a message was last parked; 0 when none was. No boot's time may begin before it, or
    what is deferred would wait longer than it was told to."""
    return int(_one(store, keys.CLOCK, 0))


def load_due(
    store: Readable, gid: int, after: tuple[int, int], limit: int
) -> tuple[list[Parked], bool]:
    """The next deferred records after (due_us, first), in that order, and whether more follow."""
    first = keys.timer(gid, *after) + b"\0"
    end = keys.all_of_group(keys.TIMER, gid)[1]
    timers = store.read_state(first, end, limit + 1)
    return [_timed(store, gid, key, last) for key, last in timers[:limit]], len(timers) > limit


def _timed(store: Readable, gid: int, timer: bytes, last: bytes) -> Parked:
    record = parked_at(store, DEFERRED, gid, keys.position_of(last))
    if record is None or record.due_us != keys.due_of(timer):
        raise Damaged(f"the timer {timer.hex()} has no record; run `layby store check`")
    return record


def parked_at(store: Readable, lane: str, gid: int, last: int) -> Parked | None:
    """The record that ends at this position."""
    key = keys.record(lane, gid, last)
    fields = _one(store, key, None)
    return None if fields is None else values.parked(fields)


def find_parked(
    store: Readable,
    gid: int,
    lane: str,
    ranges: Sequence[tuple[int, int]],
    after: int,
    limit: int,
) -> tuple[list[Parked], bool]:
    """Records that touch any of the ranges (none given: all) and begin after `after`, in order of
    position, and whether more follow."""
    found: list[Parked] = []
    for low, high in sorted(ranges) or [(0, POSITION_END)]:
        start = found[-1].last + 1 if found else after + 1
        for record in _touching(store, gid, lane, max(low, start), high, limit + 1 - len(found)):
            if record.first > after:
                found.append(record)
            if len(found) > limit:
                return found[:limit], True
    return found, False


def _touching(
    store: Readable, gid: int, lane: str, low: int, high: int, limit: int
) -> Iterator[Parked]:
    end = keys.all_of_group(keys.LANES[lane], gid)[1]
    page = min(max(limit, 1), high - low + 1)
    if page <= 0:
        return
    for key, value in scan(store, keys.record(lane, gid, low), end, page):
        record = values.parked(values.unseal(key, value))
        if record.first > high:
            return
        yield record


def parked_body(store: Readable, gid: int, block: int) -> bytes:
    """The block that a parked record carries. Raises KeyError when there is none."""
    key = keys.body(gid, block)
    for _, value in store.read_state(key, key + b"\0", 1):
        return value
    raise KeyError(block)


def _floor(store: Readable, record: GroupRecord) -> tuple[int, values.Ranges]:
    floor, done = _one(store, keys.floor(record.gid), (record.start, ()))
    return floor, done


def _deltas(store: Readable, gid: int) -> Iterator[tuple[bytes, values.Ranges]]:
    for key, value in scan(store, *keys.all_of_group(keys.DELTA, gid)):
        yield key, values.unseal(key, value)


def _one(store: Readable, key: bytes, default: Any) -> Any:
    for _, value in store.read_state(key, key + b"\0", 1):
        return values.unseal(key, value)
    return default


def scan(
    store: Readable, first: bytes, end: bytes, page: int = PAGE
) -> Iterator[tuple[bytes, bytes]]:
    """Every pair of the range; the first read asks for `page`, later ones for more."""
    while True:
        pairs = store.read_state(first, end, page)
        yield from pairs
        if len(pairs) < page:
            return
        first = pairs[-1][0] + b"\0"
        page = PAGE


# ---- after a restore --------------------------------------------------------------------------


def cut_at(store: Readable, end: int) -> tuple[list[Put], int]:
    """The puts that take out all that refers to positions from `end` on, which the log does not
    have; and how many parked records go with them."""
    puts: list[Put] = []
    lost = 0
    for key, _ in scan(store, *keys.all_of(keys.GROUP)):
        lost += _cut_group(store, keys.gid_of(key), end, puts)
    for topic, below in load_forgotten(store).items():
        _forget(fx.ForgetTopic(topic, min(below, end)), puts)
    return puts, lost


def _cut_group(store: Readable, gid: int, end: int, puts: list[Put]) -> int:
    (state,) = load_groups_at(store, end, (gid,))
    _snapshot(fx.Snapshot(gid, POSITION_END, state.floor, state.done), puts)
    lost = {lane: _records_from(store, gid, lane, end) for lane in (DEFERRED, DEAD)}
    for lane, found in lost.items():
        for record in found:
            _unpark(fx.Unpark(lane, record), puts)
    account = fx.Account(
        gid,
        state.deferred - sum(one.messages for one in lost[DEFERRED]),
        state.deferred_bytes - sum(one.size for one in lost[DEFERRED] if not one.in_log),
        state.dead - sum(one.messages for one in lost[DEAD]),
        state.dead_bytes - sum(one.size for one in lost[DEAD] if not one.in_log),
    )
    _account(account, puts)
    return sum(map(len, lost.values()))


def _records_from(store: Readable, gid: int, lane: str, first: int) -> list[Parked]:
    return list(_touching(store, gid, lane, first, POSITION_END, PAGE))


# ---- between boots ----------------------------------------------------------------------------


def begin_boot(store: Store, fence: Fence) -> None:
    """Fold each group's deltas into its snapshot, so that every boot may number them anew."""
    for key, _ in list(scan(store, *keys.all_of(keys.GROUP))):
        _fold(store, fence, keys.gid_of(key))


def _fold(store: Store, fence: Fence, gid: int) -> None:
    deltas = list(_deltas(store, gid))
    if not deltas:
        return
    floor, done = _floor(store, _group(store, gid))
    ranges = [*done, *(one for _, part in deltas for one in part)]
    whole = values.merged(ranges, floor, POSITION_END)
    puts: list[Put] = [Erase(*keys.all_of_group(keys.DELTA, gid))]
    _put(puts, keys.floor(gid), (floor, whole))
    store.commit_state(fence, puts)
