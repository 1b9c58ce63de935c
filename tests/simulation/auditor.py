"""The auditor: a model of its own that watches the core's door and believes nothing.

Owns the verdict on a run. Sees every event that goes in and every effect that comes out, reads
the store, and knows nothing of how the core works.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import CoreSettings
from laybyd.core.types import Row
from laybyd.store import records
from laybyd.store.memory import MemoryStore
from tests.simulation.audit_group import GroupBook, brief, positions_of
from tests.simulation.audit_lives import (
    Life,
    Lives,
    Request,
    check_done,
    check_refused,
    group_of,
    which,
)
from tests.simulation.audit_log import LogBook, Violation, demand
from tests.simulation.audit_operators import Operations, check_read
from tests.simulation.audit_topics import Deletions
from tests.simulation.broker_host import Watcher

REQUESTS = ev.Poll | ev.Settle | ev.Extend | ev.Goodbye | ev.Operate | ev.Push | ev.Read
Asked = tuple[bytes, Any]


class Auditor(Watcher):
    def __init__(self, settings: CoreSettings) -> None:
        self.log = LogBook()
        self.boot = 0
        self._settings = settings
        self._deletions = Deletions(self.log)
        self._lives = Lives(settings, self.log, self._deletions)
        self._operations = Operations()
        self._open: dict[Asked, list[Request]] = {}
        self._leaving: dict[Asked, Request] = {}
        self._commits: dict[int, fx.Commit] = {}
        self._store: MemoryStore | None = None
        self._now = 0
        self._at_work: Any = None
        self._trimmed = 1
        self._grants_from = 0

    @property
    def groups(self) -> dict[str, GroupBook]:
        return self._lives.books

    # ---- the process ------------------------------------------------------------------------

    def booted(self, boot: int, store: MemoryStore, now: int, moved_us: int) -> None:
        demand(boot > self.boot, f"boot {boot} after boot {self.boot}")
        self.boot, self._store = boot, store
        self.log.reopened(store)
        self._deletions.reopened(store)
        kept = [state.record for state in records.load_groups(store)]
        self._lives.reopened({record.gid: record for record in kept}, now)
        self._grants_from = now + (0 if boot == 1 else self._settings.restart_grace_us)
        for book in self.groups.values():
            book.started(boot, self._grants_from, max(0, moved_us))
            book.reopened(store)

    def died(self) -> None:
        self._operations.forget()
        self._open.clear()
        self._commits.clear()
        self._leaving.clear()
        self._lives.died()

    # ---- events -----------------------------------------------------------------------------

    def event(self, event: ev.Event, now: int) -> None:
        self._now, self._at_work = now, None
        handler = getattr(self, "_on_" + type(event).__name__.lower(), None)
        if isinstance(event, REQUESTS):
            self._asked(event, now)
        elif handler is not None:
            handler(event, now)

    def _asked(self, event: Any, now: int) -> None:
        if isinstance(event, ev.Push):
            self.log.pushed(event)
            if event.seq is not None:
                return
        name = group_of(event)
        request = self._at_work = Request(event, now, self.log.end, self._lives.get(name))
        self._open.setdefault(_ticket(event), []).append(request)
        if request.life is not None:
            self._came_to(request.life, request, now)
        elif name is not None:
            self._lives.missed(name, request)

    def _came_to(self, life: Life, request: Request, now: int) -> None:
        book, event = life.book, request.event
        request.term = book.terms.now
        if request.differs:
            return
        if isinstance(event, ev.Poll):
            life.settles.asked(_ticket(event), event.verdicts, now)
            book.polled(event, now)
        elif isinstance(event, ev.Settle):
            life.settles.asked(_ticket(event), event.verdicts, now)
        elif isinstance(event, ev.Extend):
            book.reported(event.session, event.progress, now)
        elif isinstance(event, ev.Goodbye):
            book.left(event.session, now)
        elif event.verb == "group_set":
            life.changed(request, now)
        else:
            self._operations.asked(_ticket(event), event, book, now)

    def _on_newrows(self, event: ev.NewRows, now: int) -> None:
        assert self._store is not None
        self.log.told(event.rows, self._store)

    def _on_committed(self, event: ev.Committed, now: int) -> None:
        for op in self._commits.pop(event.token).ops:
            if isinstance(op, fx.SaveGroup):
                self._lives.durable(op.record, now)
            elif isinstance(op, fx.ForgetTopic):
                self._deletions.durable(op)
            elif isinstance(op, fx.DropGroup):
                self._lives.gone(op.gid)

    def _on_rowsloaded(self, event: ev.RowsLoaded, now: int) -> None:
        assert self._store is not None
        self.log.extend(event.rows, self._store)

    def _on_undelivered(self, event: ev.Undelivered, now: int) -> None:
        book = self.groups.get(event.group)
        if book is not None:
            polls = [one.event for one in self._open_polls() if one.book is book]
            book.undelivered(event, polls, now)

    def _on_fetched(self, event: ev.Fetched, now: int) -> None:
        if event.group in self.groups:
            self.groups[event.group].shares.begun(event.leases, now)

    def _on_unmade(self, event: ev.Unmade, now: int) -> None:
        """It has to be answered once more, whatever became of its group or poll."""
        asked = self._leaving.pop(_ticket(event.answer))
        asked.is_answered = False
        self._open.setdefault(_ticket(event.answer), []).append(asked)
        assert asked.life is not None
        if not asked.life.is_deleted:
            if event.damaged is not None:
                first, last = event.damaged
                asked.life.book.bury(event.answer.lease_ids, range(first, last + 1))
            asked.life.book.undone(event.answer.lease_ids, now)

    def _on_shortened(self, event: ev.Shortened, now: int) -> None:
        book = self.groups.get(event.group)
        if book is not None and event.lease in book.table.leases:
            book.shortened(event.lease, event.kept)

    def _on_late(self, event: ev.Late, now: int) -> None:
        for book in self.groups.values():
            book.table.moved(event.late_us, now)

    # ---- effects ----------------------------------------------------------------------------

    def effect(self, effect: fx.Effect, now: int) -> None:
        self._now = now
        handler = getattr(self, "_did_" + type(effect).__name__.lower(), None)
        if handler is not None:
            handler(effect)

    def _did_confirm(self, effect: fx.Confirm) -> None:
        self.log.confirm(effect)

    def _did_commit(self, effect: fx.Commit) -> None:
        self._commits[effect.token] = effect
        for op in effect.ops:
            if isinstance(op, fx.SaveGroup):
                self._saved(op)
            elif isinstance(op, fx.ForgetTopic):
                self._forgotten(op)
            elif isinstance(op, fx.DropGroup):
                self._lives.deleted(op.gid, (one for some in self._open.values() for one in some))
            elif isinstance(op, fx.Park):
                self._lives.numbered(op.record.gid).book.parked(op, self._now)
            elif isinstance(op, fx.Unpark):
                self._lives.numbered(op.record.gid).book.space.unparked(op)

    def _saved(self, op: fx.SaveGroup) -> None:
        book = self.groups.get(op.record.name)
        if book is None:
            self._made(op)
        else:
            book.terms.written(op.record)

    def _forgotten(self, op: fx.ForgetTopic) -> None:
        assert self._store is not None
        request = self._at_work
        event = None if request is None else request.event
        deletion = self._deletions.written(op, event, self._store, self._now)
        if deletion is not None:
            request.deletion = deletion

    def _made(self, op: fx.SaveGroup) -> None:
        """What waited for it comes to it now."""
        assert self._store is not None
        grants_from = max(self._now, self._grants_from)
        for request in self._lives.made(
            op.record, self.boot, grants_from, self._store, self._trimmed
        ):
            assert request.life is not None
            self._came_to(request.life, request, self._now)

    def _did_quiesced(self, effect: fx.Quiesced) -> None:
        """Everything is durable by now; what still comes before the end may be lost."""
        for book in self.groups.values():
            for mark in book.marks.values():
                mark.checkpoint()

    def _did_trim(self, effect: fx.Trim) -> None:
        """Nothing that somebody needs: also who is deleted may be back after a crash."""
        assert self._store is not None
        start = self._store.facts().start
        for position in range(start, effect.below):
            for life in self._lives:
                needed = life.book.needs(position)
                demand(not needed, f"{effect} but {life.book.name} needs {position}")
        for row in self.log.rows_from(start):
            freed = start <= row.first < effect.below
            demand(not freed or self._may_go(row), f"{effect} but no group reads {row}")
        self._trimmed = max(self._trimmed, effect.below)

    def _may_go(self, row: Row) -> bool:
        """What no group reads is kept, until its topic is deleted."""
        is_gone = self._deletions.gone_on_disk(row.topic, row.first)
        return is_gone or any(life.book.reads_for_good(row.topic) for life in self._lives)

    def _did_deliver(self, effect: fx.Deliver) -> None:
        asked = self._answered(effect)
        poll, life = asked.event, asked.life
        if not isinstance(poll, ev.Poll) or life is None or poll.group != effect.group:
            raise Violation(f"{effect} answers {poll}")
        if effect.leases:
            demand(not life.is_deleted, f"{effect}, and the group is deleted")
            self._leaving[_ticket(effect)] = asked
        if not life.book.durable_us:
            raise Violation(f"{effect} before {poll.group} is durable")
        demand(not asked.differs, f"{effect} answers {poll}, which names other topics")
        life.settles.answered(_ticket(poll), effect.refused, life.is_deleted)
        life.book.delivered(effect, poll, asked.since, self._hidden(asked, life.book), self._now)

    def _hidden(self, poll: Request, book: GroupBook) -> int | None:
        """Since when answers may be made that wait for a commit; None when there are none."""
        polls = (poll, *self._open_polls())
        waits = (one.since for one in polls if one.book is book and _waits(one, book))
        return min(waits, default=None)

    def _open_polls(self) -> Iterator[Request]:
        for asked in self._open.values():
            yield from (one for one in asked if isinstance(one.event, ev.Poll))

    def _did_reply(self, effect: fx.Reply) -> None:
        request = self._answered(effect)
        asked, life = request.event, request.life
        if isinstance(asked, ev.Push):
            first, messages = effect.fields["first"], effect.fields["count"]
            assert isinstance(first, int)
            assert isinstance(messages, int)
            self.log.answered(asked, first, messages)
        elif isinstance(asked, ev.Operate):
            self._was_done(request, effect.fields)
        elif isinstance(asked, ev.Settle) and life is not None:
            refused: Any = effect.fields.get("refused", ())
            life.settles.answered(_ticket(asked), refused, life.is_deleted)

    def _was_done(self, request: Request, fields: Any) -> None:
        if request.life is not None:
            self._operations.answered(_ticket(request.event), fields)
            self._operations.listed(request.event, request.life.book, fields)
        elif request.event.verb == "topics":
            assert self._store is not None
            self._deletions.check_list(fields["topics"], self._readers_of, self._store)
        check_done(request, self._trimmed)

    def _readers_of(self, topic: str) -> int:
        return sum(book.terms.reads(topic) for book in self.groups.values())

    def _did_readout(self, effect: fx.ReadOut) -> None:
        asked = self._answered(effect)
        check_read(self.log, self._deletions, self._trimmed, asked.event, effect)

    def _did_refuse(self, effect: fx.Refuse) -> None:
        if "producer" in effect.fields:
            self.log.refusal(effect)
            return
        request = self._answered(effect)
        asked, life = request.event, request.life
        if isinstance(asked, ev.Push):
            self.log.refused(asked)
        elif life is None:
            self._lives.refused(request)
        elif isinstance(asked, ev.Poll | ev.Settle):
            unsaid = asked.verdicts and not request.differs
            demand(not unsaid, f"{effect} says nothing of the outcomes in {asked}")
        if effect.code == "unknown_topic":
            assert self._store is not None
            self._deletions.check_unknown(asked.args["topic"], self._store)
        check_refused(request, effect.code)

    def _answered(self, effect: Any) -> Request:
        """The request; each gets exactly one answer."""
        key = (effect.caller.peer, effect.caller.id)
        asked = self._open.get(key)
        if not asked:
            raise Violation(f"{effect} answers nothing that is open")
        request = asked.pop(which(asked, getattr(effect, "code", "")))
        request.is_answered = True
        if not asked:
            del self._open[key]
        return request

    # ---- bytes ------------------------------------------------------------------------------

    def sent(self, effect: fx.Deliver, values: tuple[tuple[int, ...], ...]) -> None:
        self._leaving.pop(_ticket(effect), None)
        book = self.groups.get(effect.group)
        for grant, got in zip(effect.leases, values, strict=True):
            expected = tuple(self.log.values[position] for position in positions_of(grant))
            demand(got == expected, f"{brief(grant)} carries {got}, not {expected}")
            lease = book and book.table.leases.get(grant.lease)
            if lease:
                lease.begin(self._now)

    def unreadable(self, effect: fx.Deliver) -> None:
        """Bytes that are gone are no loss only when nobody waits for them."""
        for grant in effect.leases:
            book = self.groups.get(effect.group)
            lease = book and book.table.leases.get(grant.lease)
            wanted = lease and not lease.over and lease.open
            demand(not wanted, f"{brief(grant)} has no bytes")

    # ---- the end ----------------------------------------------------------------------------

    def settled(self) -> bool:
        return all(next(book.unsettled(), None) is None for book in self.groups.values())

    @property
    def unsettled(self) -> int:
        return sum(1 for book in self.groups.values() for _ in book.unsettled())

    @property
    def untrimmed(self) -> str:
        """Once all is settled the log is freed up to what is parked in it and what nobody reads."""
        assert self._store is not None
        start = self._store.facts().start
        pins = [book.space.pinned for book in self.groups.values()]
        need = min([self.log.end, *(pin for pin in pins if pin), *self._unread(start)])
        return "" if self._trimmed >= need else f"the log from {self._trimmed} on, not from {need}"

    def _unread(self, start: int) -> Iterator[int]:
        for row in self.log.rows_from(start):
            is_read = bool(self._readers_of(row.topic))
            is_gone = self._deletions.gone(row.topic, row.first)
            if row.first >= start and not is_read and not is_gone:
                below = self._deletions.below(row.topic)
                yield max(start, below) if below else row.first

    def left(self) -> str:
        """What is missing at the end."""
        lines = []
        for book in self.groups.values():
            left = list(book.unsettled())
            marks = [(at, book.marks[at].now if at in book.marks else "fresh") for at in left[:5]]
            lines.append(f"{book.name}: {len(left)} unsettled, first {marks}")
        return "; ".join(lines)

    def overdue(self, now: int) -> list[Request]:
        """What should have had its answer by now."""
        return [
            one
            for asked in self._open.values()
            for one in asked
            if one.since + getattr(one.event, "wait_ms", 0) * 1_000 <= now
        ]


def _waits(request: Request, book: GroupBook) -> bool:
    """Its answer may wait for a commit after its leases are made."""
    return bool(request.event.verdicts) or request.since <= book.durable_us


def _ticket(event: Any) -> tuple[bytes, Any]:
    return (event.caller.peer, event.caller.id)
