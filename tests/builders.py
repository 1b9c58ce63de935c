"""A broker without a world: builders for events, and a harness that plays log, state store and
clock in memory. Valid by default; a test overrides the one thing it is about.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.broker import Broker
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.core.types import (
    Caller,
    Outcome,
    Parked,
    Progress,
    Row,
    TopicState,
    Verdict,
)
from tests.fakes import StateStore

MS = 1_000
SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def a_caller(name: str = "consumer", id: int | None = None) -> Caller:
    return Caller(name.encode(), (), id)


def settings(group: dict | None = None, **core) -> CoreSettings:
    return CoreSettings(group=GroupSettings()._replace(**(group or {})), **core)


class Table:
    """A broker on a table: tests give events, the harness answers what the broker asks of log and
    state at once (or, with `hold`, when told to), and keeps what goes to clients."""

    def __init__(self, given: CoreSettings | None = None, new_store: bool = True) -> None:
        self.settings = given or CoreSettings()
        self.now = START
        self.boot = 1
        self.rows: list[Row] = []
        self.log_end = 1
        self.log_start = 1
        self.state = StateStore()
        self.hold: set[type] = set()
        self.held: list[fx.Effect] = []
        self.sent: list[fx.Effect] = []
        self.commits: list[fx.Commit] = []
        self.notes: list[fx.Note] = []
        self.trims: list[int] = []
        self.quiesced = 0
        self.polled: dict[str | None, int] = {}
        self.begin(new_store)

    # ---- boots

    def begin(self, new_store: bool = False) -> None:
        self.broker = Broker(
            self.settings,
            self.boot,
            self.log_end,
            self.log_start,
            self.state.load(),
            self.topic_states(),
            (),
            self.state.forgotten,
            max(self.state.groups, default=0) + 1,
            new_store,
            self.now,
        )
        self.tick()

    def restart(self, crash: bool = False) -> None:
        """`crash`: what was not committed is gone."""
        if not crash:
            self.wait(self.settings.settle_flush_us)
        self.held.clear()
        self.boot += 1
        self.begin()

    def topic_states(self) -> list[TopicState]:
        states: dict[str, TopicState] = {}
        for row in self.rows:
            if row.last < self.log_start:
                continue
            old = states.get(row.topic)
            first, messages, size = (
                (old.first, old.messages, old.bytes) if old else (row.first, 0, 0)
            )
            states[row.topic] = TopicState(
                row.topic, first, row.last, messages + row.messages, size + row.size, row.at_us
            )
        return list(states.values())

    # ---- events in

    def step(self, event: ev.Event) -> list[fx.Effect]:
        """One turn: the event, then what is due. No two turns are at the same time."""
        self.now += 1
        sent = self.take(self.broker.step(event, self.now))
        at = self.broker.next_deadline()
        return sent + (self.tick() if at is not None and at <= self.now else [])

    def tick(self) -> list[fx.Effect]:
        return self.take(self.broker.tick(self.now))

    def take(self, made: list[fx.Effect]) -> list[fx.Effect]:
        """Carry out effects; gives what went to clients because of them."""
        before = len(self.sent)
        queue = list(made)
        while queue:
            effect = queue.pop(0)
            if type(effect) in self.hold:
                self.held.append(effect)
            else:
                queue += self.carry_out(effect)
        return self.sent[before:]

    def release(self) -> list[fx.Effect]:
        """Carry out what was held, in order."""
        held, self.held, hold, self.hold = self.held, [], self.hold, set()
        sent = self.take(held)
        self.hold = hold
        return sent

    def carry_out(self, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Commit():
                self.commits.append(effect)
                self.state.commit(effect.ops)
                return self.broker.step(ev.Committed(effect.token), self.now)
            case fx.LoadRows():
                found = [row for row in self.rows if row.last >= max(effect.first, self.log_start)]
                rows = tuple(found[: effect.limit])
                upto = rows[-1].last + 1 if len(found) > effect.limit else self.log_end
                return self.broker.step(
                    ev.RowsLoaded(effect.who, effect.first, rows, upto), self.now
                )
            case fx.FindTime():
                later = [row.first for row in self.rows if row.at_us >= effect.at_us]
                position = min(later, default=self.log_end)
                return self.broker.step(ev.PositionFound(effect.who, position), self.now)
            case fx.LoadDue():
                return self.broker.step(self.state.due(effect), self.now)
            case fx.FindParked():
                return self.broker.step(self.state.find(effect), self.now)
            case fx.Append():
                return self.append(effect.push)
            case fx.Trim():
                self.trims.append(effect.below)
            case fx.Note():
                self.notes.append(effect)
            case fx.Quiesced():
                self.quiesced += 1
            case _:
                self.sent.append(effect)
        return []

    def append(self, push: ev.Push) -> list[fx.Effect]:
        row = self.row(push.topic, push.messages, push.size)
        made = self.broker.step(ev.NewRows((row,)), self.now)
        return made + self.broker.step(ev.Stored(((push, row.first),)), self.now)

    def row(self, topic: str, messages: int, size: int) -> Row:
        row = Row(self.log_end, messages, topic, size, self.now)
        self.rows.append(row)
        self.log_end = row.last + 1
        return row

    # ---- time

    def wait(self, us: int) -> list[fx.Effect]:
        """Let time pass, ticking at every deadline on the way."""
        before = len(self.sent)
        end = self.now + us
        for _ in range(100_000):
            at = self.broker.next_deadline()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.tick()
        else:
            raise AssertionError("the deadlines do not move on")
        self.now = end
        return self.sent[before:]

    # ---- shorthand

    def push(self, topic: str = "app", messages: int = 1, size: int | None = None) -> int:
        """New rows, as if somebody had pushed; gives the first position."""
        row = self.row(topic, messages, 100 * messages if size is None else size)
        self.step(ev.NewRows((row,)))
        return row.first

    def push_sent(self, topic: str = "app", messages: int = 1) -> list[fx.Effect]:
        """Push; gives what went out because of it."""
        before = len(self.sent)
        self.push(topic, messages)
        return self.sent[before:]

    def step_goodbye(self, session: str) -> list[fx.Effect]:
        return self.step(ev.Goodbye(a_caller(session), "g", session.encode()))

    def poll(self, session: str | None = "one", **fields) -> list[fx.Effect]:
        """The session's next poll, unless `n` says otherwise."""
        n = fields.setdefault("n", None if session is None else self.polled.get(session, 0) + 1)
        self.polled[session] = n or 0
        return self.step(a_poll(session, **fields))

    def lease(self, session: str | None = "one", **fields) -> fx.Grant:
        """Poll and expect exactly one lease."""
        answers = [one for one in self.poll(session, **fields) if isinstance(one, fx.Deliver)]
        assert len(answers) == 1, answers
        assert len(answers[0].leases) == 1, answers[0]
        return answers[0].leases[0]

    def last_lease(self, session: str) -> fx.Grant:
        """What the session was given last."""
        name = session.encode()
        answers = [one for one in self.sent if isinstance(one, fx.Deliver) and one.leases]
        return [one for one in answers if one.caller.peer == name][-1].leases[-1]

    def settle(self, lease: fx.Grant | bytes, *ranges, outcome=Outcome.ACK, **fields):
        """Settle and wait for the answer; gives the refused parts."""
        verdict = a_verdict(lease, *ranges, outcome=outcome, **fields)
        sent = self.step(ev.Settle(a_caller("settler"), "g", (verdict,)))
        sent += self.wait(self.settings.settle_flush_us)
        return list(next(one.fields["refused"] for one in sent if isinstance(one, fx.Reply)))

    def operate_later(self, verb: str, **args) -> list[fx.Effect]:
        return self.step(ev.Operate(a_caller("operator"), verb, args))

    def operate(self, verb: str, **args) -> fx.Effect:
        """A verb and its answer."""
        sent = self.operate_later(verb, **args)
        sent += self.wait(self.settings.settle_flush_us)
        return next(one for one in sent if one.caller.peer == b"operator")

    def extend(self, session: str, working=(), hold=()) -> list[fx.Effect]:
        progress = Progress(tuple(working), tuple(hold))
        return self.step(ev.Extend(a_caller(session), "g", session.encode(), progress))

    def group(self, name: str = "g") -> dict:
        return dict(self.operate("group", group=name).fields)

    def parked(self, lane: str = "deferred") -> list[tuple[int, int]]:
        """What is committed in a lane of the first group."""
        self.wait(self.settings.settle_flush_us)
        gid = next(iter(self.state.groups))
        return sorted((one.first, one.last) for one in self.state.lane(gid, lane).values())

    def record(self, first: int, lane: str = "deferred") -> Parked:
        self.wait(self.settings.settle_flush_us)
        gid = next(iter(self.state.groups))
        return next(one for one in self.state.lane(gid, lane).values() if one.first == first)


def a_poll(session: str | None = "one", n: int | None = 1, **fields) -> ev.Poll:
    """A poll of a session that has heard every answer; with None, of a minimal client."""
    given = {
        "caller": a_caller(session or "minimal"),
        "group": "g",
        "topics": ("app",),
        "credit": 100,
        "credit_bytes": 1 << 20,
        "wait_ms": 30_000,
    }
    if session is not None and n is not None:
        given |= {"session": session.encode(), "n": n, "got": n - 1, "name": session}
        given |= {"handlers": 1, "idle": 1}
    return ev.Poll(**(given | fields))


def a_verdict(
    lease: fx.Grant | bytes,
    *ranges: tuple[int, int],
    outcome: Outcome = Outcome.ACK,
    **fields,
) -> Verdict:
    if isinstance(lease, bytes):
        return Verdict(lease, ranges, outcome, **fields)
    ranges = ranges or tuple((piece.first, piece.last) for piece in lease.pieces)
    return Verdict(lease.lease, ranges, outcome, **fields)


def positions(grant: fx.Grant) -> list[int]:
    return [at for piece in grant.pieces for at in range(piece.first, piece.last + 1)]


def delivered(sent: Iterable[fx.Effect]) -> list[int]:
    """All positions in the answers, in order."""
    return [
        at
        for one in sent
        if isinstance(one, fx.Deliver)
        for grant in one.leases
        for at in positions(grant)
    ]
