"""After recovery the store goes on: a repeat is known, a push is stored, a settle is taken.

Owns those three steps, through the real core. Must never know what came before the crash but by
the client's knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome, Verdict
from laybyd.wire import block as blocks
from loadtests.wire import block, bodies
from tests.crash.host import Host, caller
from tests.crash.knowledge import body, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from laybyd.config import Config
    from laybyd.store.base import Fence
    from laybyd.store.lmdb_store import LmdbStore
    from tests.crash.knowledge import Knowledge, Push

NEW = "afterwards"


def goes_on(
    store: LmdbStore,
    fence: Fence,
    config: Config,
    known: Knowledge,
    positions: dict[str, int],
    is_pinned: bool,
) -> Iterator[str]:
    """`is_pinned`: a group still has something to do in the oldest segment."""
    host = Host(store, fence, config.core)
    yield from _repeats(host, known, positions)
    frame = block([body(NEW, 200)])
    end = store.facts().end
    answers = host.ask(_push(frame))
    is_full = [getattr(one, "code", None) for one in answers] == ["store_full"]
    if is_full and not is_pinned:
        yield "it refuses a push as full, and nobody needs its oldest segment"
    elif not is_full and [getattr(one, "fields", {}).get("first") for one in answers] != [end]:
        yield f"a push to the recovered store was answered {answers}"
    elif not is_full and bodies(store.read(end)[1]) != [body(NEW, 200)]:
        yield "a push to the recovered store is not what is read"
    for group in known.groups or ("new",):
        yield from _works(host, group, is_full)


def _push(frame: bytes, producer: bytes | None = None, seq: int | None = None) -> ev.Push:
    head = blocks.header(frame)
    return ev.Push(
        caller(), "app.a", frame, head.messages, len(frame), head.crc, True, producer, seq
    )


def _repeats(host: Host, known: Knowledge, positions: dict[str, int]) -> Iterator[str]:
    """The last confirmed push of each producer, sent again."""
    for name, place in known.positions.items():
        push = known.pushes[name]
        if name != push.names[0] or push.seq != known.last_seq.get(push.producer):
            continue
        answers = host.ask(_again(push))
        told = [one.positions for one in answers if isinstance(one, fx.Confirm)]
        if told != [(place,)]:
            yield f"{name}, confirmed at {place}, was pushed again and answered {answers}"


def _again(push: Push) -> ev.Push:
    producer = push.producer.encode()
    if push.packed:
        return _push(block([body(name, push.size) for name in push.names]), producer, push.seq)
    data = body(push.names[0], push.size)
    item = blocks.Item(data)
    crc = blocks.single_crc(item)
    return ev.Push(caller(), push.topic, item, 1, len(data), crc, False, producer, push.seq)


def _works(host: Host, group: str, may_be_idle: bool) -> Iterator[str]:
    """The group gets something, right to the byte, and settles it."""
    poll = ev.Poll(caller(), group, ("app.*",), 1, 1 << 20, 1_000)
    grants = [grant for one in host.ask(poll) for grant in getattr(one, "leases", ())]
    if not grants:
        if not may_be_idle:
            yield f"group {group} got nothing, although there is a new message"
        return
    grant = grants[0]
    first = grant.pieces[0].first
    (data,) = bodies(host.bytes_of(host.gid_of(group), grant))
    if data != body(name_of(data), len(data)):
        yield f"group {group} got wrong bytes at {first}"
    verdict = Verdict(grant.lease, ((first, first),), Outcome.ACK)
    answers = host.ask(ev.Settle(caller(), group, (verdict,)))
    if [getattr(one, "fields", None) for one in answers] != [{"refused": ()}]:
        yield f"group {group}: an ack was answered {answers}"
