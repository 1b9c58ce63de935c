"""The auditor: a model of its own that watches the core's door and believes nothing.

Owns the verdict on a run. Sees every event that goes in and every effect that comes out, reads
the store, and knows nothing of how the core works.
"""

from __future__ import annotations

from typing import Any

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import CoreSettings
from laybyd.store import records
from laybyd.store.memory import MemoryStore
from tests.simulation.audit_group import GroupBook, brief, positions_of
from tests.simulation.audit_log import LogBook, Violation, demand
from tests.simulation.audit_operators import Operations, check_read
from tests.simulation.audit_settles import Settles
from tests.simulation.broker_host import Watcher
from tests.simulation.world import SECOND

ANSWER_US = 30 * SECOND
REQUESTS = ev.Poll | ev.Settle | ev.Extend | ev.Goodbye | ev.Operate | ev.Push | ev.Read
Asked = tuple[bytes, Any]


class Auditor(Watcher):
    def __init__(self, settings: CoreSettings) -> None:
        self.log = LogBook()
        self.groups: dict[str, GroupBook] = {}
        self.boot = 0
        self._settings = settings
        self._settles: dict[str, Settles] = {}
        self._operations = Operations(self.groups)
        self._open: dict[Asked, list[tuple[Any, int]]] = {}
        self._leaving: dict[Asked, tuple[ev.Poll, int]] = {}
        self._commits: dict[int, fx.Commit] = {}
        self._store: MemoryStore | None = None
        self._now = 0
        self._trimmed = 1
        self._booted_us = 0

    # ---- the process ------------------------------------------------------------------------

    def booted(self, boot: int, store: MemoryStore, now: int, moved_us: int) -> None:
        demand(boot > self.boot, f"boot {boot} after boot {self.boot}")
        self.boot, self._store, self._booted_us = boot, store, now
        self.log.reopened(store)
        self._check_groups(store)
        grace = 0 if boot == 1 else self._settings.restart_grace_us
        for book in self.groups.values():
            book.started(boot, now + grace, max(0, moved_us))
            book.reopened(store)

    def _check_groups(self, store: MemoryStore) -> None:
        """A group whose record was not yet durable may be gone."""
        kept = {state.record.name for state in records.load_groups(store)}
        for name, book in list(self.groups.items()):
            if name not in kept:
                demand(not book.durable_us, f"{name} is gone")
                del self.groups[name], self._settles[name]
            elif not book.durable_us:
                book.durable_us = self._booted_us

    def died(self) -> None:
        self._operations.forget()
        self._open.clear()
        self._commits.clear()
        self._leaving.clear()
        for settles in self._settles.values():
            settles.forget()

    # ---- events -----------------------------------------------------------------------------

    def event(self, event: ev.Event, now: int) -> None:
        self._now = now
        handler = getattr(self, "_on_" + type(event).__name__.lower(), None)
        if isinstance(event, REQUESTS):
            self._asked(event, now)
        if handler is not None:
            handler(event, now)

    def _asked(self, event: Any, now: int) -> None:
        if not isinstance(event, ev.Push) or event.seq is None:
            key = (event.caller.peer, event.caller.id)
            self._open.setdefault(key, []).append((event, now))

    def _on_push(self, event: ev.Push, now: int) -> None:
        self.log.pushed(event)

    def _on_poll(self, event: ev.Poll, now: int) -> None:
        book = self.groups.get(event.group)
        if book is not None:
            self._settles[event.group].asked(_ticket(event), event.verdicts, now)
            book.polled(event, now)

    def _on_settle(self, event: ev.Settle, now: int) -> None:
        if event.group in self.groups:
            self._settles[event.group].asked(_ticket(event), event.verdicts, now)

    def _on_extend(self, event: ev.Extend, now: int) -> None:
        if event.group in self.groups:
            self.groups[event.group].reported(event.session, event.progress, now)

    def _on_goodbye(self, event: ev.Goodbye, now: int) -> None:
        if event.group in self.groups:
            self.groups[event.group].left(event.session, now)

    def _on_operate(self, event: ev.Operate, now: int) -> None:
        self._operations.asked(_ticket(event), event, now)

    def _on_newrows(self, event: ev.NewRows, now: int) -> None:
        assert self._store is not None
        self.log.told(event.rows, self._store)

    def _on_committed(self, event: ev.Committed, now: int) -> None:
        for op in self._commits.pop(event.token).ops:
            if isinstance(op, fx.SaveGroup):
                self.groups[op.record.name].durable_us = now

    def _on_rowsloaded(self, event: ev.RowsLoaded, now: int) -> None:
        assert self._store is not None
        self.log.extend(event.rows, self._store)

    def _on_undelivered(self, event: ev.Undelivered, now: int) -> None:
        self.groups[event.group].undelivered(event, now)

    def _on_damaged(self, event: ev.Damaged, now: int) -> None:
        book, asked = self.groups[event.group], self._leaving.pop(_ticket(event))
        if not book.table.is_given_up(asked[0]):
            self._open.setdefault(_ticket(event), []).append(asked)
        book.bury(event.leases, range(event.first, event.last + 1))
        book.undone(event.leases, now)

    def _on_shortened(self, event: ev.Shortened, now: int) -> None:
        self.groups[event.group].shortened(event.lease, event.kept)

    def _on_late(self, event: ev.Late, now: int) -> None:
        for book in self.groups.values():
            book.table.moved(event.late_us)

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
            if isinstance(op, fx.SaveGroup) and op.record.name not in self.groups:
                self._made(op)
            elif isinstance(op, fx.Park):
                self._book_of(op.record.gid).parked(op, self._now)
            elif isinstance(op, fx.Unpark):
                self._book_of(op.record.gid).space.unparked(op)

    def _made(self, op: fx.SaveGroup) -> None:
        book = GroupBook(op.record, self._settings, self.log)
        book.started(self.boot, self._now, 0)
        book.durable_us = 0
        self.groups[op.record.name] = book
        self._settles[op.record.name] = Settles(book)

    def _did_quiesced(self, effect: fx.Quiesced) -> None:
        """Everything is durable by now; what still comes before the end may be lost."""
        for book in self.groups.values():
            for mark in book.marks.values():
                mark.checkpoint()

    def _book_of(self, gid: int) -> GroupBook:
        return next(book for book in self.groups.values() if book.record.gid == gid)

    def _did_trim(self, effect: fx.Trim) -> None:
        for position in range(self._trimmed, effect.below):
            for book in self.groups.values():
                demand(not book.needs(position), f"{effect} but {book.name} needs {position}")
        self._trimmed = max(self._trimmed, effect.below)

    def _did_deliver(self, effect: fx.Deliver) -> None:
        poll, arrived = self._answered(effect)
        if not isinstance(poll, ev.Poll):
            raise Violation(f"{effect} answers {poll}")
        if effect.leases:
            self._leaving[_ticket(effect)] = (poll, arrived)
        book = self.groups.get(effect.group)
        if book is not None:
            if not book.durable_us:
                raise Violation(f"{effect} before {book.name} is durable")
            self._settles[effect.group].answered(_ticket(poll), effect.refused)
            hidden = _waits(poll, arrived, book) or self._others_wait(book)
            book.delivered(effect, poll, hidden, self._now)

    def _others_wait(self, book: GroupBook) -> bool:
        return any(
            isinstance(event, ev.Poll) and event.group == book.name and _waits(event, since, book)
            for asked in self._open.values()
            for event, since in asked
        )

    def _did_reply(self, effect: fx.Reply) -> None:
        asked, _ = self._answered(effect)
        if isinstance(asked, ev.Push):
            first, messages = effect.fields["first"], effect.fields["count"]
            assert isinstance(first, int)
            assert isinstance(messages, int)
            self.log.answered(asked, first, messages)
        elif isinstance(asked, ev.Operate):
            self._operations.answered(_ticket(asked), effect.fields)
            self._operations.listed(asked, effect.fields)
        elif isinstance(asked, ev.Settle) and asked.group in self.groups:
            refused: Any = effect.fields.get("refused", ())
            self._settles[asked.group].answered(_ticket(asked), refused)

    def _did_readout(self, effect: fx.ReadOut) -> None:
        asked, _ = self._answered(effect)
        check_read(self.log, self._trimmed, asked, effect)

    def _did_refuse(self, effect: fx.Refuse) -> None:
        if "producer" in effect.fields:
            self.log.refusal(effect)
            return
        asked, _ = self._answered(effect)
        if isinstance(asked, ev.Push):
            self.log.refused(asked)
        elif isinstance(asked, ev.Poll | ev.Settle) and asked.group in self.groups:
            demand(not asked.verdicts, f"{effect} says nothing of the outcomes in {asked}")

    def _answered(self, effect: Any) -> tuple[Any, int]:
        """The request and when it came; each gets exactly one answer."""
        key = (effect.caller.peer, effect.caller.id)
        asked = self._open.get(key)
        if not asked:
            raise Violation(f"{effect} answers nothing that is open")
        request = asked.pop(0)
        if not asked:
            del self._open[key]
        return request

    # ---- bytes ------------------------------------------------------------------------------

    def sent(self, effect: fx.Deliver, values: tuple[tuple[int, ...], ...]) -> None:
        self._leaving.pop(_ticket(effect), None)
        for grant, got in zip(effect.leases, values, strict=True):
            expected = tuple(self.log.values[position] for position in positions_of(grant))
            demand(got == expected, f"{brief(grant)} carries {got}, not {expected}")

    def unreadable(self, effect: fx.Deliver) -> None:
        """Bytes that are gone are no loss only when nobody waits for them."""
        book = self.groups[effect.group]
        for grant in effect.leases:
            lease = book.table.leases[grant.lease]
            demand(lease.over or not lease.open, f"{brief(grant)} has no bytes")

    # ---- the end ----------------------------------------------------------------------------

    def settled(self) -> bool:
        return all(next(book.unsettled(), None) is None for book in self.groups.values())

    @property
    def unsettled(self) -> int:
        return sum(1 for book in self.groups.values() for _ in book.unsettled())

    def left(self) -> str:
        """What is missing at the end."""
        lines = []
        for book in self.groups.values():
            left = list(book.unsettled())
            marks = [(at, book.marks[at].now if at in book.marks else "fresh") for at in left[:5]]
            lines.append(f"{book.name}: {len(left)} unsettled, first {marks}")
        return "; ".join(lines)

    def check_answers(self) -> None:
        """At the end, with faults off: every request has had its answer."""
        for (peer, request), asked in self._open.items():
            for event, since in asked:
                wait_us = getattr(event, "wait_ms", 0) * 1_000
                late = self._now - since - wait_us
                demand(late < ANSWER_US, f"{peer!r} {request}: no answer to {event}")


def _waits(poll: ev.Poll, arrived: int, book: GroupBook) -> bool:
    """Its answer may wait for a commit after its leases are made."""
    return bool(poll.verdicts) or arrived <= book.durable_us


def _ticket(event: Any) -> tuple[bytes, Any]:
    return (event.caller.peer, event.caller.id)
