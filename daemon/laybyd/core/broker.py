"""The broker: one step per event, effects out, and when to be woken.

Owns which part of the core hears of which event. Must never know a rule of delivery; never
raises for what a peer sent: refusals are effects, asserts are bugs of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, cast

from laybyd.core import events
from laybyd.core.deadlines import Deadlines
from laybyd.core.effects import Deliver, Effect, Note, Quiesced, Refuse, Reply, Trim
from laybyd.core.group import Group, Shared
from laybyd.core.groups import Groups, Plan
from laybyd.core.journal import Journal
from laybyd.core.operate import Operator, World
from laybyd.core.parts import Finder
from laybyd.core.polls import DELETED
from laybyd.core.pushes import Pushes
from laybyd.core.reads import Reads
from laybyd.core.settings import CoreSettings
from laybyd.core.topics import Topics
from laybyd.core.trim import Trimmer
from laybyd.core.types import Caller, GroupState, ProducerState, TopicState

SPENT_ADVICE = "nothing is handed out until deferred and dead messages are dropped or retried"

GroupRequest = events.Settle | events.Extend | events.Goodbye


class Broker:
    def __init__(
        self,
        settings: CoreSettings,
        boot: int,
        log_end: int,
        log_start: int,
        groups: Sequence[GroupState],
        topics: Sequence[TopicState],
        producers: Iterable[ProducerState],
        forgotten: Mapping[str, int],
        next_gid: int,
        new_store: bool,
        now: int,
    ) -> None:
        self._settings = settings
        self._log_end = log_end
        grace_until = now if new_store else now + settings.restart_grace_us
        shared = Shared(settings, boot, Topics(topics, forgotten), grace_until)
        self._out = shared.out
        self._commits = shared.commits
        self._finds = shared.finds
        self._space = shared.space
        self._topics = shared.topics
        self._deadlines: Deadlines[int] = Deadlines()
        self._pushes = Pushes(settings, producers, self._space)
        self._reads = Reads(settings, self._topics, self._out, log_end)
        self._trimmer = Trimmer(log_start, now)
        self._groups = Groups(shared, self._trimmer, next_gid)
        self._groups.restore(groups, log_end, now)
        for group in self._groups:
            self._deadlines.set(group.record.gid, now)
        self._trimmer.touch(now)
        self._quiescing = False
        self._quiesce_until: int | None = None
        self._quiesced = False
        self._operator = Operator(self._world(now))
        self._handlers = self._make_handlers()

    def _world(self, now: int) -> World:
        return World(
            self._groups,
            self._topics,
            self._trimmer,
            self._commits,
            self._finds,
            self._out,
            lambda: (self._trimmer.earliest, self._log_end),
            self._touch,
            lambda: self._quiescing,
            now,
        )

    def _make_handlers(self) -> dict[type, Callable[[Any, int], None]]:
        return {
            events.Push: self._push,
            events.Stored: self._stored,
            events.NotStored: self._not_stored,
            events.NewRows: self._new_rows,
            events.Poll: self._poll,
            events.Settle: self._in_group,
            events.Extend: self._in_group,
            events.Goodbye: self._in_group,
            events.Read: self._read,
            events.Operate: self._operate,
            events.Committed: self._committed,
            events.RowsLoaded: self._rows_loaded,
            events.DueLoaded: self._due_loaded,
            events.ParkedFound: self._parked_found,
            events.PositionFound: self._position_found,
            events.Fetching: self._of_answer,
            events.Fetched: self._of_answer,
            events.Undelivered: self._of_answer,
            events.Unmade: self._of_answer,
            events.Shortened: self._of_answer,
            events.Trimmed: self._trimmed,
            events.Space: self._space_changed,
            events.Late: self._late,
            events.Quiesce: self._quiesce,
        }

    # ---- what the scheduler calls ---------------------------------------------------------------

    def step(self, event: events.Event, now: int) -> list[Effect]:
        self._handlers[type(event)](event, now)
        return self._taken(now)

    def tick(self, now: int, behind: Container[str] = ()) -> list[Effect]:
        """Do what is due; but of groups in `behind`, whose requests wait, only the commits."""
        held: list[Group] = []
        for gid in self._deadlines.due(now):
            group = self._groups.numbered(gid)
            if group is not None and group.record.name in behind:
                held.append(group)
            elif group is not None:
                group.tick(now)
                self._touch(group)
        for group in held:
            group.parts.journal.flush_due(now)
            self._touch(group)
        self._reads.tick(now)
        if self._trimmer.next_at is not None and self._trimmer.next_at <= now:
            self._trim(now)
        return self._taken(now)

    def next_deadline(self) -> int | None:
        times = (
            self._deadlines.next(),
            self._reads.next_deadline,
            self._trimmer.next_at,
            self._quiesce_until,
        )
        return min((at for at in times if at is not None), default=None)

    def gid_of(self, group: str) -> int:
        """The group's number; 0 when there is none (any more)."""
        known = self._groups.get(group)
        return 0 if known is None else known.record.gid

    def _taken(self, now: int) -> list[Effect]:
        if self._quiescing and not self._quiesced:
            self._finish_quiesce(now)
        taken = self._out[:]
        self._out.clear()
        return taken

    def _touch(self, group: Group) -> None:
        at = group.next_deadline()
        if at is None:
            self._deadlines.cancel(group.record.gid)
        else:
            self._deadlines.set(group.record.gid, at)

    # ---- producers ------------------------------------------------------------------------------

    def _push(self, event: events.Push, now: int) -> None:
        self._out += self._pushes.push(event, now)

    def _stored(self, event: events.Stored, now: int) -> None:
        self._out += self._pushes.stored(event, now)

    def _not_stored(self, event: events.NotStored, now: int) -> None:
        self._out += self._pushes.not_stored(event)

    # ---- consumers ------------------------------------------------------------------------------

    def _poll(self, event: events.Poll, now: int) -> None:
        group = self._groups.get(event.group) or self._made_by(event, now)
        if group is not None:
            group.poll(event, now)
            self._touch(group)

    def _made_by(self, event: events.Poll, now: int) -> Group | None:
        """The first poll of a group makes it."""
        if self._groups.is_planned(event.group):
            self._groups.held_up[event.group].append(event)
            return None
        if event.topics is None:
            self._refuse_unknown(event.caller, event.group, "; name its topics to make it")
            return None
        plan = Plan(event.caller, event.group, event.topics, event.start, event.start_us, {})
        return self._groups.plan(plan, event, self._trimmer.earliest, self._log_end, now)

    def _in_group(self, event: GroupRequest, now: int) -> None:
        group = self._groups.get(event.group)
        if group is None:
            self._not_in_group(event)
            return
        if isinstance(event, events.Settle):
            group.settle(event, now)
        elif isinstance(event, events.Extend):
            group.extend(event, now)
        else:
            group.goodbye(event, now)
        self._touch(group)

    def _not_in_group(self, event: GroupRequest) -> None:
        if self._groups.is_planned(event.group):
            self._groups.held_up[event.group].append(event)
        elif isinstance(event, events.Goodbye):
            self._out.append(Reply(event.caller, {}))
        else:
            self._refuse_unknown(event.caller, event.group)

    def _refuse_unknown(self, caller: Caller, group: str, advice: str = "") -> None:
        self._refuse(caller, "unknown_group", f"there is no group {group}{advice}")

    def _refuse(self, caller: Caller, code: str, text: str) -> None:
        self._out.append(Refuse(caller, code, text))

    def _of_answer(self, event: events.AnswerNews, now: int) -> None:
        group = self._groups.get(event.group)
        if group is not None:
            group.of_answer(event, now)
            self._touch(group)
        elif isinstance(event, events.Unmade):
            self._out.append(event.answer._replace(leases=(), why=DELETED))

    # ---- readers and operators ------------------------------------------------------------------

    def _read(self, event: events.Read, now: int) -> None:
        self._reads.read(event, now)

    def _operate(self, event: events.Operate, now: int) -> None:
        name = event.args.get("group")
        if isinstance(name, str) and self._groups.is_planned(name):
            self._groups.held_up[name].append(event)
        else:
            self._operator.operate(event, now)

    # ---- the log --------------------------------------------------------------------------------

    def _new_rows(self, event: events.NewRows, now: int) -> None:
        rows = event.rows
        for row in rows:
            new = self._topics.add(row)
            if new is not None:
                new.groups = self._groups.readers_of(row.topic)
        self._log_end = max(self._log_end, rows[-1].last + 1)
        for group in self._groups:
            group.new_rows(rows, now)
            self._touch(group)
        self._reads.new_rows(rows, now)

    def _rows_loaded(self, event: events.RowsLoaded, now: int) -> None:
        kind, number = cast("tuple[str, int]", event.who)
        self._log_end = max(self._log_end, event.upto)
        if kind == "read":
            self._reads.rows_loaded(number, event.rows, event.upto, now)
        elif kind == "window":
            group = self._groups.numbered(number)
            if group is not None:
                group.rows_loaded(event, now)
                self._touch(group)
        else:
            self._found(
                number, now, lambda one: one.rows_found(number, event.rows, event.upto, now)
            )

    def _position_found(self, event: events.PositionFound, now: int) -> None:
        kind, what = cast("tuple[str, object]", event.who)
        if kind == "read":
            self._reads.time_found(cast("int", what), event.position, now)
            return
        earliest, name = self._trimmer.earliest, str(what)
        for held_up in self._groups.time_found(name, event.position, earliest, self._log_end, now):
            self._handlers[type(held_up)](held_up, now)

    def _trimmed(self, event: events.Trimmed, now: int) -> None:
        self._trimmer.trimmed(event.start)
        self._topics.trimmed(event.start, event.topics)
        self._groups.recount()
        self._operator.trimmed(event.start)

    def _space_changed(self, event: events.Space, now: int) -> None:
        was_spent = self._space.state_spent
        self._space.hear(event)
        if event.state_spent != was_spent:
            self._state_spent(event, now)
        if event.log_full:
            self._trim(now)

    def _state_spent(self, event: events.Space, now: int) -> None:
        if event.state_spent:
            self._out.append(Note("state_spent", {"used": event.used, "advice": SPENT_ADVICE}))
        for group in self._groups:
            group.found(now)
            self._touch(group)

    def _trim(self, now: int) -> None:
        full = self._space.log_full
        below = self._trimmer.look(self._groups, self._topics, self._log_end, now, full)
        self._pushes.pins = self._trimmer.pins
        if below is not None:
            self._out.append(Trim(below))

    # ---- the state store ------------------------------------------------------------------------

    def _committed(self, event: events.Committed, now: int) -> None:
        owner = self._commits.back(event.token)
        assert owner is not None, "a commit became durable that was never asked for"
        before = owner.need if isinstance(owner, Journal) else None
        waited = len(self._out)
        owner.committed()
        self._sent(waited, now)
        self._trimmer.committed(event.token, now)
        if isinstance(owner, Journal) and owner.need != before:
            self._trimmer.touch(now)

    def _sent(self, since: int, now: int) -> None:
        """Answers that had to wait for the commit go out with what is left of them."""
        for at in range(since, len(self._out)):
            effect = self._out[at]
            if isinstance(effect, Deliver) and effect.leases:
                group = self._groups.get(effect.group)
                if group is None:
                    self._out[at] = effect._replace(leases=(), why=DELETED)
                else:
                    self._out[at] = group.sent(effect, now)
                    self._touch(group)

    def _due_loaded(self, event: events.DueLoaded, now: int) -> None:
        group = self._groups.get(event.group)
        if group is not None:
            group.due_loaded(event, now)
            self._touch(group)

    def _parked_found(self, event: events.ParkedFound, now: int) -> None:
        token = event.token
        self._found(token, now, lambda one: one.parked_found(token, event.records, event.more, now))

    def _found(self, token: int, now: int, tell: Callable[[Finder], None]) -> None:
        """Whoever asked hears of it; or that the group is gone meanwhile."""
        owner = self._finds.back(token)
        assert owner is not None, "something was found that nobody asked for"
        gid, finder = owner
        group = self._groups.numbered(gid)
        if group is None:
            finder.abandon()
        else:
            tell(finder)
            group.found(now)
            self._touch(group)

    # ---- the process ----------------------------------------------------------------------------

    def _late(self, event: events.Late, now: int) -> None:
        for group in self._groups:
            group.late(event.late_us, now)
            self._touch(group)

    def _quiesce(self, event: events.Quiesce, now: int) -> None:
        """Nothing new is taken in, nothing more is handed out; what is out may be settled."""
        if self._quiescing:
            return
        self._quiescing = True
        self._quiesce_until = now + self._settings.quiesce_us
        self._pushes.quiescing = True
        self._reads.close()
        self._groups.close()
        for group in self._groups:
            group.quiesce(now)
            self._touch(group)

    def _finish_quiesce(self, now: int) -> None:
        out = any(group.parts.leases.out for group in self._groups)
        if out and self._quiesce_until is not None and now < self._quiesce_until:
            return
        # Nothing is left to wait for but commits, and those report by themselves.
        self._quiesce_until = None
        for group in self._groups:
            group.parts.journal.flush()
        if not self._commits and not self._finds:
            self._quiesced = True
            self._out.append(Quiesced())
