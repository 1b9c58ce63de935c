"""The auditor's list of groups: which there are, since when, and which of a name came before.

Owns the lives of groups: each begins with a request that may make it, where that says, and ends
with a deletion that somebody asked for. What is promised of a group is promised of one life.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from laybyd.core.events import Operate, Poll
from laybyd.core.settings import CoreSettings
from laybyd.core.types import GroupRecord
from laybyd.store.memory import MemoryStore
from tests.simulation.audit_group import GroupBook
from tests.simulation.audit_log import LogBook, demand
from tests.simulation.audit_settles import Settles
from tests.simulation.audit_terms import Term
from tests.simulation.audit_topics import Deletion, Deletions


class Request:
    """A request without an answer. `life`: the group that it found, and `term` what was said of it
    then, or by this request; `end`: where the log ended when it came; `deletion`: what it did."""

    def __init__(self, event: Any, since: int, end: int, life: Life | None) -> None:
        self.event = event
        self.since = since
        self.end = end
        self.life = life
        self.term: Term | None = None
        self.deletion: Deletion | None = None
        self.is_answered = False

    @property
    def differs(self) -> bool:
        """It names other topics than the group reads: it will be refused, and changes nothing."""
        if not isinstance(self.event, Poll) or self.event.topics is None or self.term is None:
            return False
        return set(self.event.topics) != set(self.term.record.topics)

    @property
    def book(self) -> GroupBook | None:
        return None if self.life is None else self.life.book


class Life:
    """One making of a group. `is_deleted`: the broker has said so to the disk, which may not have
    heard of it yet; `is_gone`: it has; `behind`: what waited for it and for its end."""

    def __init__(self, book: GroupBook, settles: Settles, maker: Request) -> None:
        self.book = book
        self.settles = settles
        self.maker = maker
        self.behind: list[Request] = []
        self.is_deleted = False
        self.is_gone = False

    @property
    def gid(self) -> int:
        return self.book.record.gid

    def changed(self, request: Request, now: int) -> None:
        """What it reads and how it is treated is as the request says, from now on."""
        request.term = self.book.changed(request.event.args, now)
        self.settles.changed(now)


class Lives:
    """`books` are those of the groups that there are, by name."""

    def __init__(self, settings: CoreSettings, log: LogBook, deletions: Deletions) -> None:
        self.books: dict[str, GroupBook] = {}
        self._settings = settings
        self._log = log
        self._deletions = deletions
        self._current: dict[str, Life] = {}
        self._deleted: dict[int, Life] = {}
        self._gone: set[int] = set()
        self._void: dict[str, set[bytes]] = {}
        self._makers: dict[str, list[Request]] = {}

    def __iter__(self) -> Iterator[Life]:
        """All that the disk may still know."""
        yield from self._current.values()
        yield from self._deleted.values()

    def get(self, name: object) -> Life | None:
        return self._current.get(str(name))

    def numbered(self, gid: int) -> Life:
        found = next((life for life in self if life.gid == gid), None)
        demand(found is not None, f"the state of group {gid} is changed, which is not there")
        assert found is not None
        return found

    # ---- making -------------------------------------------------------------------------------

    def missed(self, name: str, request: Request) -> None:
        """A request for a group that is not there: it may make it, or wait for its making."""
        if name in self._makers:
            self._makers[name].append(request)
        elif _makes(request.event):
            self._makers[name] = [request]

    def refused(self, request: Request) -> None:
        """Whoever was to make the group does not."""
        for name, waiting in list(self._makers.items()):
            if waiting[0] is request:
                del self._makers[name]

    def made(
        self, record: GroupRecord, boot: int, grants_from: int, store: MemoryStore, trimmed: int
    ) -> list[Request]:
        """Gives the requests that waited for it. `trimmed`: below, the log may be gone."""
        name, waiting = record.name, self._makers.pop(record.name, [])
        demand(waiting, f"{record}: nobody asked for it")
        demand(record.gid not in self._gone, f"{record} has the number of a deleted group")
        self._check_asked(record, waiting[0], store, trimmed)
        book = GroupBook(record, self._settings, self._log, self._deletions)
        book.started(boot, grants_from, 0)
        void = self._void.setdefault(name, set())
        life = self._current[name] = Life(book, Settles(book, frozenset(void)), waiting[0])
        self.books[name] = book
        came = _upto_deletion(waiting)
        life.behind = waiting[len(came) :]
        for request in came:
            request.life = life
        return came

    def _check_asked(
        self, record: GroupRecord, maker: Request, store: MemoryStore, trimmed: int
    ) -> None:
        asked = _asked_by(maker.event)
        demand(set(record.topics) == set(asked["topics"]), f"{record}, asked for by {maker.event}")
        overrides = asked.get("settings", {})
        demand(dict(record.overrides) == overrides, f"{record}, asked for with {overrides}")
        low, high = self._start_of(asked, maker, store)
        low, high = max(low, store.facts().start), max(high, trimmed)
        right = low <= record.start <= high
        demand(right, f"{record} begins at {record.start}, not {low}..{high}: {maker.event}")

    def _start_of(
        self, asked: Mapping[str, Any], maker: Request, store: MemoryStore
    ) -> tuple[int, int]:
        """A time is looked up: what is appended meanwhile may be found or not, and where nothing
        is of that time or later it begins at the log's end."""
        start, start_us, end = asked.get("start"), asked.get("start_us"), self._log.end
        if start_us is not None:
            first = self._log.first_at(start_us, store)
            return min(first, maker.end), first
        if start == "latest":
            return end, end
        first = min(start, end) if isinstance(start, int) else 0
        return first, first

    # ---- ending -------------------------------------------------------------------------------

    def deleted(self, gid: int, requests: Iterable[Request]) -> None:
        life = self.numbered(gid)
        name = life.book.name
        wanted = any(one.life is life and _deletes(one.event) for one in requests)
        demand(wanted and not life.is_deleted, f"{name} is deleted, and nobody asked for it")
        life.is_deleted = True
        del self._current[name], self.books[name]
        self._deleted[gid] = life
        self._void.setdefault(name, set()).update(life.book.issued)
        for request in life.behind:
            self.missed(name, request)

    def durable(self, record: GroupRecord, now: int) -> None:
        book = self.numbered(record.gid).book
        if book.durable_us:
            book.terms.durable(record)
        else:
            book.durable_us = now

    def gone(self, gid: int) -> None:
        """For good."""
        self._deleted.pop(gid).is_gone = True
        self._gone.add(gid)

    # ---- the process --------------------------------------------------------------------------

    def died(self) -> None:
        self._makers.clear()
        for life in self:
            life.settles.forget()

    def reopened(self, kept: Mapping[int, GroupRecord], now: int) -> None:
        """A group whose making was not durable may be gone, and one whose deletion was not may be
        there still."""
        for name, life in list(self._current.items()):
            if life.gid not in kept:
                demand(not life.book.durable_us, f"{name} is gone")
                del self._current[name], self.books[name]
            life.book.durable_us = life.book.durable_us or now
        for gid, life in list(self._deleted.items()):
            if gid in kept:
                self._is_back(life)
            else:
                self.gone(gid)
        self._deleted.clear()
        for gid, record in kept.items():
            demand(gid not in self._gone, f"{record.name} was deleted, and is there again")
            known = self.get(record.name)
            demand(known is not None and known.gid == gid, f"{record}: nobody made it")
            assert known is not None
            known.book.terms.reopened(record)

    def _is_back(self, life: Life) -> None:
        name = life.book.name
        demand(name not in self._current, f"{name} is there twice")
        life.is_deleted = False
        self._current[name], self.books[name] = life, life.book
        self._void[name] -= life.book.issued


def group_of(event: Any) -> str | None:
    """The group that a request is about."""
    if isinstance(event, Operate):
        name = event.args.get("group")
        return None if name is None else str(name)
    return getattr(event, "group", None)


def _upto_deletion(waiting: list[Request]) -> list[Request]:
    """Requests of one connection or many are dealt with as they came: what came behind one that
    deletes the group meets another."""
    first = next((at for at, one in enumerate(waiting) if _deletes(one.event)), len(waiting))
    return waiting[: first + 1]


def _makes(event: Any) -> bool:
    if isinstance(event, Operate):
        return event.verb == "group_create"
    return isinstance(event, Poll) and event.topics is not None


def _deletes(event: Any) -> bool:
    return isinstance(event, Operate) and event.verb == "group_delete"


def _asked_by(event: Any) -> Mapping[str, Any]:
    """What the request that makes a group says of it."""
    return event.args if isinstance(event, Operate) else event._asdict()


# ---- what operators are told --------------------------------------------------------------------


def check_done(request: Request, trimmed: int) -> None:
    """A group that was made or deleted is so for good, and as it was asked for. `trimmed`: below,
    the log may be gone."""
    event, life = request.event, request.life
    if _deletes(event):
        demand(life is not None and life.is_gone, f"{event} is done, but not yet for good")
    elif event.verb == "group_create":
        demand(life is not None and life.book.durable_us, f"{event} is done, but not yet for good")
        assert life is not None
        differs = life.maker is not request and _differs(request, trimmed)
        demand(not differs, f"{event} is done, but there is {life.book.record}")
    elif event.verb == "group_set":
        is_durable = life and request.term and life.book.terms.is_durable(request.term)
        demand(is_durable, f"{event} is done, but not yet for good")
    elif event.verb == "topic_delete":
        is_durable = request.deletion is not None and request.deletion.is_durable
        demand(is_durable, f"{event} is done, but not yet for good")


def which(asked: Sequence[Request], code: str) -> int:
    """Of a request that came twice, one may have been done and the other refused, and the refusal
    waits for no commit."""
    return next((at for at, one in enumerate(asked) if _is_met(one, code)), 0)


def _is_met(request: Request, code: str) -> bool:
    """Whether this code, or "" for done, can be its answer."""
    event = request.event
    if code == "unknown_group":
        return request.life is None
    if isinstance(event, Operate) and event.verb == "topic_delete":
        return bool(code) == (request.deletion is None)
    if code == "conflict":
        return _is_in_conflict(request)
    return True


def check_refused(request: Request, code: str) -> None:
    event, life = request.event, request.life
    if code == "unknown_group":
        demand(life is None or life.is_deleted, f"{event} is told that there is no such group")
    elif code == "conflict":
        demand(_is_in_conflict(request), f"{event} is in conflict with nothing")
    elif code == "subscription_differs":
        demand(request.differs, f"{event} names what the group reads: {request.term}")


def _is_in_conflict(request: Request) -> bool:
    """Whoever made the group is not, though it may not begin where that was asked: a position
    beyond the log's end is the end."""
    life = request.life
    return life is not None and life.maker is not request and _differs(request, 0)


def _differs(request: Request, trimmed: int) -> bool:
    """From what was said of the group when it came. A start below what the log holds is as good as
    the log's beginning."""
    assert request.term is not None
    record, settings = request.term.record, request.term.settings._asdict()
    args = request.event.args
    start = args.get("start")
    is_cut = isinstance(start, int) and start < record.start <= trimmed
    return (
        set(args["topics"]) != set(record.topics)
        or any(settings[key] != value for key, value in args.get("settings", {}).items())
        or (isinstance(start, int) and start != record.start and not is_cut)
    )
