"""The core and the memory store against a list and a dict.

One group, two sessions, one topic. Whatever the rules do in whatever order, what a poll brings is
the front of what waits, outcomes move messages as the model says, and a crash forgets nothing that
was answered.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.broker import Broker
from laybyd.core.settings import MINUTE, SECOND, CoreSettings, GroupSettings
from laybyd.core.types import LIVE, Caller, Outcome, Verdict
from laybyd.store import records
from laybyd.store.base import NewBlock
from laybyd.store.memory import MemoryStore

GROUP = GroupSettings(
    lease_us=30 * SECOND, backoff_us=(10 * SECOND, MINUTE), max_attempts=3, max_wait_us=60 * MINUTE
)
SETTINGS = CoreSettings(group=GROUP, settle_flush_us=0)
SESSIONS = (b"one", b"two")


class Direct:
    """Carries out every effect at once; `step` gives what goes out to clients."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND
        self.store = MemoryStore()
        self.boot()

    def boot(self) -> None:
        store = self.store
        self._fence = store.acquire()
        facts = store.facts()
        self.core = Broker(
            SETTINGS,
            self._fence.boot,
            facts.end,
            facts.start,
            records.load_groups(store),
            store.topics(),
            store.producers(),
            records.load_forgotten(store),
            records.load_next_gid(store),
            self._fence.boot == 1,
            self.now,
        )
        self.advance(SECOND)

    def unknown_lease(self) -> bytes:
        return self._fence.boot.to_bytes(4, "big") + (1 << 60).to_bytes(8, "big")

    def step(self, event: ev.Event) -> list[Any]:
        out = self._settle(self.core.step(event, self.now))
        return out + self._settle(self.core.tick(self.now))

    def advance(self, duration_us: int) -> list[Any]:
        until, out = self.now + duration_us, []
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            out += self._settle(self.core.tick(self.now))
        self.now = until
        return out + self._settle(self.core.tick(self.now))

    def _settle(self, effects: list[fx.Effect]) -> list[Any]:
        todo, out = deque(effects), []
        while todo:
            effect = todo.popleft()
            if isinstance(effect, fx.Deliver | fx.Reply | fx.Refuse | fx.Confirm):
                out.append(effect)
            for event in self._carry_out(effect):
                todo.extend(self.core.step(event, self.now))
        return out

    def _carry_out(self, effect: fx.Effect) -> list[ev.Event]:
        store = self.store
        match effect:
            case fx.Append(push):
                body = bytes(push.body)  # type: ignore[call-overload]
                block = NewBlock(push.topic, push.messages, body)
                rows = store.append(self._fence, [block], self.now).rows
                return [ev.NewRows(rows), ev.Stored(((push, rows[0].first),))]
            case fx.Commit(token, ops):
                store.commit_state(self._fence, records.encode(ops, lambda park: b"body"))
                return [ev.Committed(token)]
            case fx.LoadDue(group, gid, after, limit):
                found, more = records.load_due(store, gid, after, limit)
                return [ev.DueLoaded(group, tuple(found), more)]
            case fx.FindParked(token, gid, lane, ranges, after, limit):
                found, more = records.find_parked(store, gid, lane, ranges, after, limit)
                return [ev.ParkedFound(token, tuple(found), more)]
            case fx.LoadRows(who, first, limit):
                rows, upto = store.rows(first, limit)
                return [ev.RowsLoaded(who, first, tuple(rows), upto)]
        return []


class Held(NamedTuple):
    lease: bytes
    lane: str


@dataclass
class Term:
    """How long a session has a lease; `alone`, one suspect by itself; `company`, another one of
    the session with work left has ended meanwhile."""

    session: bytes
    end_us: int
    alone: bool
    company: bool = False


class Delivery(RuleBasedStateMachine):
    """`live` waits in order; `held` is who has what; `deferred` says when each is due."""

    def __init__(self) -> None:
        super().__init__()
        self.direct = Direct()
        self.end = 1
        self.live: list[int] = []
        self.held: dict[int, Held] = {}
        self.terms: dict[bytes, Term] = {}
        self.deferred: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.done: set[int] = set()
        self.n = dict.fromkeys(SESSIONS, 0)
        self.asked = 0
        self.poll(SESSIONS[0], 1, 0)

    # ---- rules ------------------------------------------------------------------------------

    @rule(messages=st.integers(1, 5))
    def push(self, messages: int) -> None:
        body = b"x" * messages
        event = ev.Push(self._caller(), "app", body, messages, 100, crc32(body), True)
        [reply] = [one for one in self.direct.step(event) if isinstance(one, fx.Reply)]
        assert reply.fields == {"first": self.end, "count": messages}
        self.live += range(self.end, self.end + messages)
        self.end += messages

    @rule(
        session=st.sampled_from(SESSIONS),
        credit=st.integers(1, 6),
        wait_ms=st.sampled_from((0, 20)),
    )
    def poll(self, session: bytes, credit: int, wait_ms: int) -> None:
        """It gets the front of what waits, or something due; or nothing, after its wait."""
        self.n[session] += 1
        n = self.n[session]
        who = {"session": session, "n": n, "got": n - 1, "handlers": 1, "idle": 1}
        poll = ev.Poll(self._caller(), "group", ("app",), credit, 1 << 20, wait_ms, **who)
        out = self.direct.step(poll)
        while not out:
            out = self._pass(1_000)
        [deliver] = [one for one in out if isinstance(one, fx.Deliver)]
        assert deliver.n == n
        for grant in deliver.leases:
            self._granted(grant, session)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        position = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held.pop(position)
        assert self._settle(position, held.lease, outcome) == ()
        self._moved(position, held.lane, outcome)

    @precondition(lambda self: self.done)
    @rule(data=st.data(), outcome=st.sampled_from((Outcome.FAIL, Outcome.DEFER)))
    def settle_again(self, data: st.DataObject, outcome: Outcome) -> None:
        """Under a lease that nobody ever had: refused, and nothing changes."""
        position = data.draw(st.sampled_from(sorted(self.done)))
        [lost] = self._settle(position, self.direct.unknown_lease(), outcome)
        assert lost.code == "lease_unknown"

    @rule(duration_us=st.sampled_from((1, SECOND, 12 * SECOND, MINUTE)))
    def advance(self, duration_us: int) -> None:
        self._pass(duration_us)

    def _pass(self, duration_us: int) -> list[Any]:
        out = self.direct.advance(duration_us)
        for lease, term in sorted(self.terms.items(), key=lambda item: item[1].end_us):
            if term.end_us <= self.direct.now:
                self._expired(lease, term)
        return out

    @rule()
    def restart(self) -> None:
        """Without a word: what is held waits again, in its lane; what was answered stays."""
        self.direct.boot()
        for position, held in self.held.items():
            if held.lane == LIVE:
                self.live.append(position)
            else:
                self.deferred[position] = self.direct.now
        self.live.sort()
        self.held.clear()
        self.terms.clear()
        self.n = dict.fromkeys(SESSIONS, 0)

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        places = [*self.live, *self.held, *self.deferred, *self.done]
        assert sorted(places) == list(range(1, self.end))

    def teardown(self) -> None:
        """Whatever happened, all of it can be handled in the end."""
        for _ in range(40 + 8 * self.end):
            if len(self.done) == self.end - 1:
                return
            for position in sorted(self.held):
                held = self.held.pop(position)
                assert self._settle(position, held.lease, Outcome.ACK) == ()
                self._moved(position, held.lane, Outcome.ACK)
            self.advance(MINUTE)
            self.poll(SESSIONS[0], 100, 20)
        raise AssertionError(f"left: live {self.live}, deferred {self.deferred}, {self.held}")

    # ---- what follows -----------------------------------------------------------------------

    def _granted(self, grant: fx.Grant, session: bytes) -> None:
        positions = [at for piece in grant.pieces for at in range(piece.first, piece.last + 1)]
        attempts = grant.attempts or (0,) * len(positions)
        assert list(attempts) == [self.attempts.get(position, 0) for position in positions]
        if grant.lane == LIVE:
            assert positions == self.live[: len(positions)]
            del self.live[: len(positions)]
        else:
            assert not self.live, "deferred work while live has some"
            assert all(self.deferred.pop(at) <= self.direct.now for at in positions)
        for position in positions:
            self.held[position] = Held(grant.lease, grant.lane)
        alone = grant.alone and len(positions) == 1
        self.terms[grant.lease] = Term(session, self.direct.now + GROUP.lease_us, alone)

    def _settle(self, position: int, lease: bytes, outcome: Outcome) -> tuple[fx.Lost, ...]:
        verdict = Verdict(lease, ((position, position),), outcome, started=False)
        event = ev.Settle(self._caller(), "group", (verdict,))
        [reply] = [one for one in self.direct.step(event) if isinstance(one, fx.Reply)]
        refused = reply.fields.get("refused", ())
        assert isinstance(refused, list | tuple)
        return tuple(refused)

    def _moved(self, position: int, lane: str, outcome: Outcome) -> None:
        if outcome in (Outcome.ACK, Outcome.REJECT):
            self.done.add(position)
        elif outcome is Outcome.FAIL:
            self._failed(position, self.direct.now)
        elif outcome is Outcome.DEFER or lane != LIVE:
            self.deferred[position] = self.direct.now
        else:
            insort(self.live, position)

    def _failed(self, position: int, now: int) -> None:
        before = self.attempts.get(position, 0)
        self.attempts[position] = before + 1
        if before + 1 >= GROUP.max_attempts:
            self.done.add(position)
        else:
            self.deferred[position] = now + GROUP.backoff_us[min(before, 1)]

    def _expired(self, lease: bytes, term: Term) -> None:
        """Nobody said what was worked on: one alone is counted, of several of the session each is
        a suspect."""
        del self.terms[lease]
        positions = [position for position, held in self.held.items() if held.lease == lease]
        for position in positions:
            del self.held[position]
        others = {held.lease for held in self.held.values()}
        company = [self.terms[one] for one in others if self.terms[one].session == term.session]
        alone = len(positions) == 1 and (term.alone or not (company or term.company))
        for other in company if positions else ():
            other.company = True
        for position in positions:
            if alone:
                self._failed(position, term.end_us)
            else:
                self.deferred[position] = term.end_us

    def _caller(self) -> Caller:
        self.asked += 1
        return Caller(b"peer", (), self.asked)


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
