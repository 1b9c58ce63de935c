"""One group: its parts put together, and what it does at each event.

Owns the order in which the rules apply. Must never know another group; nothing in here spans
groups, so that each could be owned by another scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from laybyd.core import events
from laybyd.core.account import Account
from laybyd.core.answers import Answers
from laybyd.core.deadlines import Deadlines
from laybyd.core.deferred import Deferred
from laybyd.core.drain import Drain
from laybyd.core.effects import (
    Deliver,
    DropGroup,
    Effect,
    LoadRows,
    Lost,
    Refuse,
    Reply,
    SaveGroup,
)
from laybyd.core.expiry import EXPIRED, GONE, Expiry
from laybyd.core.floor import Floor
from laybyd.core.grants import Granter
from laybyd.core.intervals import RangeSet
from laybyd.core.journal import Journal, Owner
from laybyd.core.late import Late
from laybyd.core.leases import Lease, Leases
from laybyd.core.live import Live
from laybyd.core.load import Load
from laybyd.core.parking import Parking
from laybyd.core.parts import Finder, Parts, Timer
from laybyd.core.polls import DELETED, QUIESCING, TAKEN_BACK, Polls
from laybyd.core.progress import Reports, lease_end
from laybyd.core.rules import Rules
from laybyd.core.sessions import Session, Sessions, Settlement
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.core.settle import Settler
from laybyd.core.space import Space
from laybyd.core.tokens import Tokens
from laybyd.core.topics import Matcher, Topics
from laybyd.core.types import DEFERRED, Caller, GroupRecord, GroupState, Row


@dataclass(frozen=True, slots=True)
class Shared:
    """What groups have of the broker around them; none of it is theirs."""

    core: CoreSettings
    boot: int
    topics: Topics
    grace_until: int
    out: list[Effect] = field(default_factory=list)
    commits: Tokens[Owner] = field(default_factory=Tokens)
    finds: Tokens[tuple[int, Finder]] = field(default_factory=Tokens)
    space: Space = field(default_factory=Space)


class Group:
    """`is_new`: its record is still to be committed."""

    def __init__(
        self, shared: Shared, state: GroupState, log_end: int, now: int, is_new: bool
    ) -> None:
        self._shared = shared
        self.record = state.record
        self._matcher = Matcher(state.record.topics)
        self.parts = parts = self._make_parts(shared, state, log_end, now)
        self._expiry = Expiry(parts)
        self._late = Late(parts)
        self._settler = Settler(parts, self._late)
        self._reports = Reports(parts, self._expiry)
        self._drain = Drain(parts, now)
        self._polls = Polls(parts, self._expiry, int(is_new), shared.grace_until, shared.space)
        self._answers = Answers(parts, self._expiry, self._polls)
        self._granter = Granter(parts, self._drain, self._settler, self._polls.answer)
        self._look_at: int | None = None
        if is_new:
            parts.journal.add(SaveGroup(state.record), now)
            parts.journal.flush()

    def _make_parts(self, shared: Shared, state: GroupState, log_end: int, now: int) -> Parts:
        record, core = state.record, shared.core
        floor, account = Floor(state.floor, state.done), Account(state)
        journal = Journal(record.gid, floor, account, shared.commits, shared.out, core)
        deferred = Deferred(record.name, record.gid, state.deferred, core.head_records)
        self._now = now
        return Parts(
            record=record,
            boot=shared.boot,
            core=core,
            floor=floor,
            account=account,
            journal=journal,
            live=Live(floor, log_end, self._wants, self._skip, core.window_rows),
            deferred=deferred,
            parking=Parking(
                record,
                account,
                journal,
                deferred,
                shared.space,
                shared.topics.is_forgotten,
                shared.out,
            ),
            rules=Rules(shared.boot, core, with_overrides(core.group, record), shared.space),
            sessions=Sessions(core.sessions_max),
            leases=Leases(shared.boot, record.gid),
            load=Load(now),
            timers=Deadlines(),
            finds=shared.finds,
            out=shared.out,
        )

    def _wants(self, row: Row) -> bool:
        return self._matcher(row.topic) and not self._shared.topics.is_forgotten(
            row.topic, row.last
        )

    def _skip(self, first: int, last: int) -> None:
        self.parts.journal.skip(first, last, self._now)

    def matches(self, topic: str) -> bool:
        return self._matcher(topic)

    # ---- requests -------------------------------------------------------------------------------

    def poll(self, event: events.Poll, now: int) -> None:
        self._now = now
        if event.topics is not None and set(event.topics) != set(self.record.topics):
            self.refuse_subscription(event.caller)
            return
        session = self.parts.sessions.meet(event, now)
        if session is None:
            text = f"group {self.record.name} has {len(self.parts.sessions)} sessions; that is all"
            self.parts.out.append(Refuse(event.caller, "over_limit", text))
            return
        settlement = Settlement()
        if event.progress is not None:
            self._reports.report(session, event.progress, now)
        if event.verdicts:
            self._settler.take(event.verdicts, settlement, now)
        self._polls.arrive(session, event, settlement, now)
        self._after(now)

    def refuse_subscription(self, caller: Caller) -> None:
        name, topics = self.record.name, " ".join(self.record.topics)
        text = (
            f"group {name} reads {topics}; poll without topics, or change it: "
            f"layby groups set {name} --topics ..."
        )
        self.parts.out.append(Refuse(caller, "subscription_differs", text))

    def settle(self, event: events.Settle, now: int) -> None:
        self._now = now
        settlement = Settlement()
        self._settler.take(event.verdicts, settlement, now)
        self._polls.speak(
            settlement,
            lambda lost: Reply(event.caller, {"refused": lost}),
            hurry=False,
        )
        self._after(now)

    def extend(self, event: events.Extend, now: int) -> None:
        self._now = now
        session = self.parts.sessions.find(event.session)
        if session is None:
            lost = list(RangeSet((first, last) for first, last, _ in event.progress.working))
        else:
            lost = self._reports.lost(session, event.progress)
            self._reports.report(session, event.progress, now)
        fields = {"refused": (Lost(b"", tuple(lost), "lease_lost"),)} if lost else {}
        self.parts.out.append(Reply(event.caller, fields))
        self._after(now)

    def goodbye(self, event: events.Goodbye, now: int) -> None:
        self._now = now
        session = self.parts.sessions.find(event.session)
        if session is not None:
            self._end_session(session, now, parting=True)
        self.parts.out.append(Reply(event.caller, {}))
        self._after(now)

    def _end_session(self, session: Session, now: int, parting: bool) -> None:
        if session.waiting is not None:
            self._polls.answer_nothing(session.waiting, TAKEN_BACK, now)
        for lease in list(session.leases.values()):
            self._expiry.end(lease, GONE if parting else EXPIRED, now, parting)
        self.parts.timers.cancel(("session", session))
        self.parts.timers.cancel(("handling", session))
        self.parts.sessions.remove(session)

    # ---- what the log and the state store say ---------------------------------------------------

    def new_rows(self, rows: tuple[Row, ...], now: int) -> None:
        self._now = now
        self.parts.live.new_rows(rows)
        self._after(now)

    def rows_loaded(self, event: events.RowsLoaded, now: int) -> None:
        self._now = now
        self.parts.live.loaded(event.first, event.rows, event.upto)
        self._after(now)

    def due_loaded(self, event: events.DueLoaded, now: int) -> None:
        self._now = now
        self.parts.deferred.loaded(event.records, event.more)
        self._drop_forgotten(now)
        self._after(now)

    def found(self, now: int) -> None:
        """An answer to a look-up has been dealt with; or there is room again."""
        self._after(now)

    # ---- what becomes of answers ----------------------------------------------------------------

    def of_answer(self, event: events.AnswerNews, now: int) -> None:
        self._now = now
        self._answers.heard(event, now)
        self._after(now)

    def sent(self, answer: Deliver, now: int) -> Deliver:
        """An answer goes out that had to wait for a commit."""
        return self._polls.sent(answer, now)

    # ---- time -----------------------------------------------------------------------------------

    def late(self, late_us: int, now: int) -> None:
        """The process stood still, and with it everybody's reports."""
        for lease in self.parts.leases.live.values():
            lease.ends_us += late_us
            if not lease.held_back:
                self.parts.timers.set(("lease", lease), lease_end(lease))
        for session in self.parts.sessions.by_key.values():
            session.heard_us += late_us
            if session.progress_us >= 0:
                session.progress_us = min(now, session.progress_us + late_us)

    def tick(self, now: int) -> None:
        self._now = now
        for timer in self.parts.timers.due(now):
            self._ring(timer, now)
        self.parts.journal.flush_due(now)
        self._after(now)

    def _ring(self, timer: Timer, now: int) -> None:
        kind, what = timer
        if isinstance(what, Lease):
            self._lease_is_up(what, now)
        elif isinstance(what, Session):
            if kind == "poll":
                self._polls.time_is_up(what, now)
            elif kind == "handling":
                self._reports.enforce(what, now)
            else:
                self._session_is_silent(what, now)

    def _lease_is_up(self, lease: Lease, now: int) -> None:
        assert lease.id in self.parts.leases.live, "the deadline of a lease outlived it"
        end = lease_end(lease)
        if end > now:
            self.parts.timers.set(("lease", lease), end)
        else:
            self._expiry.end(lease, EXPIRED, now)

    def _session_is_silent(self, session: Session, now: int) -> None:
        """Whoever waits for an answer cannot be heard of."""
        waits = session.waiting is not None or session.is_held_back()
        heard_us = now if waits else session.heard_us
        ends_us = heard_us + session.silence_us
        if ends_us > now:
            self.parts.timers.set(("session", session), ends_us)
        else:
            self._end_session(session, now, parting=False)

    def next_deadline(self) -> int | None:
        times = (self.parts.timers.next(), self.parts.journal.flush_at, self._look_at)
        return min((at for at in times if at is not None), default=None)

    def _after(self, now: int) -> None:
        """Whatever has happened: hand out what can be, fetch what runs low, say when to look
        again."""
        parts = self.parts
        open_for_work = self._polls.may_give(now)
        if open_for_work:
            self._polls.uncap()
            self._granter.match(now)
        if parts.live.wants_rows():
            parts.live.loading = True
            who = ("window", self.record.gid)
            parts.out.append(LoadRows(who, parts.live.window_end, parts.core.window_rows))
        if parts.deferred.wants_records:
            parts.journal.flush()
            parts.out.append(parts.deferred.load())
        self._polls.answer_overdue(now)
        if open_for_work:
            self._look_at = self._drain.look_again_at(now)
        else:
            self._look_at = self._polls.gives_from(now)

    # ---- operators ------------------------------------------------------------------------------

    def quiesce(self, now: int) -> None:
        self._now = now
        self._polls.answer_all(QUIESCING, now)
        self._after(now)

    def change(self, record: GroupRecord, now: int) -> int:
        """Another subscription or other settings; gives the batch that makes it durable."""
        self._now = now
        self.record = self.parts.record = self.parts.parking.group = record
        self._matcher = Matcher(record.topics)
        self.parts.rules.group = with_overrides(self.parts.core.group, record)
        self._polls.cap()
        self.parts.journal.add(SaveGroup(record), now)
        self.forget(now)
        return self.parts.journal.barrier()

    def forget(self, now: int) -> None:
        """Skip what waits and is not wanted any more."""
        self._now = now
        for run in self.parts.live.refuse_rows():
            self.parts.live.withdraw(*run)
            self._skip(*run)
        self._drop_forgotten(now)
        self._after(now)

    def _drop_forgotten(self, now: int) -> None:
        topics = self._shared.topics
        if not topics.forgotten:
            return
        for record in self.parts.deferred.waiting():
            if topics.is_forgotten(record.topic, record.last):
                self.parts.parking.replace(DEFERRED, record, [], (), now)

    def delete(self, now: int) -> int:
        """Gives the batch with which it is gone."""
        self._polls.answer_all(DELETED, now)
        self._late.abandon()
        journal = self.parts.journal
        journal.flush()
        journal.add(DropGroup(self.record.gid), now)
        batch = journal.batch
        journal.flush()
        return batch


def with_overrides(settings: GroupSettings, record: GroupRecord) -> GroupSettings:
    return settings._replace(**dict(record.overrides))  # type: ignore[arg-type]
