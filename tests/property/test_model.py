"""The core and the memory store against a list, a few dicts and two sets.

One group, two sessions, two topics of its own and one that is not. Whatever the rules do in
whatever order, what a poll brings is the front of what waits, outcomes and operators move messages
as the model says, and a crash forgets nothing that was answered.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import HOUR, MINUTE, SECOND, CoreSettings, GroupSettings
from laybyd.core.types import DEAD, DEFERRED, LIVE, Caller, Outcome, Progress, Verdict
from tests.property.direct import Direct

GROUP = GroupSettings(
    lease_us=30 * SECOND,
    max_handling_us=24 * HOUR,
    max_hold_us=24 * HOUR,
    backoff_us=(10 * SECOND, MINUTE),
    max_attempts=3,
    max_wait_us=24 * HOUR,
)
SETTINGS = CoreSettings(group=GROUP, settle_flush_us=0, head_records=4, window_rows=4)
SESSIONS = (b"one", b"two")
OUTCOMES = (*Outcome, *(Outcome.FAIL,) * 5)  # what fails goes the longest way
STEPS = 50
EXAMPLES = 25_000 // STEPS
PARTS = 5
"""So that two processors can share them."""


class Held(NamedTuple):
    lease: bytes
    lane: str


@dataclass
class Term:
    """How long a session has a lease; `alone`, one suspect by itself; `company`, another one of
    the session with suspects left has ended meanwhile."""

    session: bytes
    granted_us: int
    end_us: int
    alone: bool
    company: bool = False


@dataclass
class Report:
    """What a session said last of its work, and when."""

    at_us: int = -1
    named: tuple[int, ...] = ()


class Delivery(RuleBasedStateMachine):
    """`live` waits in order; `held` is who has what; `deferred` says when each is due."""

    def __init__(self) -> None:
        super().__init__()
        self.direct = Direct(SETTINGS)
        self.end = 1
        self.wanted: set[int] = set()
        self.live: list[int] = []
        self.held: dict[int, Held] = {}
        self.terms: dict[bytes, Term] = {}
        self.past: list[tuple[bytes, int]] = []
        self.reports = {session: Report() for session in SESSIONS}
        self.deferred: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.done: set[int] = set()
        self.dead: set[int] = set()
        self.n = dict.fromkeys(SESSIONS, 0)
        self.asked = 0
        self.poll(SESSIONS[0], 1, 0)

    # ---- clients --------------------------------------------------------------------------------

    @rule(messages=st.integers(1, 5), topic=st.sampled_from(("app.a", "app.a", "app.b", "else")))
    def push(self, messages: int, topic: str) -> None:
        body = b"x" * messages
        event = ev.Push(self._caller(), topic, body, messages, 100, crc32(body), True)
        assert self._reply(event) == {"first": self.end, "count": messages}
        if topic != "else":
            self.live += range(self.end, self.end + messages)
            self.wanted.update(range(self.end, self.end + messages))
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
        poll = ev.Poll(self._caller(), "group", ("app.*",), credit, 1 << 20, wait_ms, **who)
        out = self.direct.step(poll)
        while not out:
            out = self._pass(1_000)
        [deliver] = [one for one in out if isinstance(one, fx.Deliver)]
        assert deliver.n == n
        pieces = [piece for grant in deliver.leases for piece in grant.pieces]
        assert sum(piece.last - piece.first + 1 for piece in pieces) <= credit
        for grant in deliver.leases:
            self._granted(grant, session)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        position = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held.pop(position)
        assert self._settle(((position, position),), held.lease, outcome) == ()
        self._moved(position, held.lane, outcome, alone=True)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def settle_a_range(self, data: st.DataObject, outcome: Outcome) -> None:
        """Several at once: one of them is bad, nobody knows which."""
        first = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[first]
        last = first
        while self.held.get(last + 1) == held:
            last += 1
        assert self._settle(((first, last),), held.lease, outcome) == ()
        for position in range(last, first - 1, -1):
            del self.held[position]
            self._moved(position, held.lane, outcome, alone=first == last)

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def ack_late(self, data: st.DataObject) -> None:
        """Under a lease that has ended: it counts unless somebody has the message."""
        lease, position = data.draw(st.sampled_from(self.past))
        if position in self.done or position in self.dead:
            return
        refused = self._settle(((position, position),), lease, Outcome.ACK)
        if position in self.held and self.held[position].lease != lease:
            assert [lost.code for lost in refused] == ["lease_lost"]
            return
        assert refused == ()
        self.held.pop(position, None)
        self.deferred.pop(position, None)
        if position in self.live:
            self.live.remove(position)
        self.done.add(position)

    @precondition(lambda self: self.done)
    @rule(data=st.data(), outcome=st.sampled_from((Outcome.FAIL, Outcome.DEFER)))
    def settle_for_nothing(self, data: st.DataObject, outcome: Outcome) -> None:
        """Under a lease that nobody ever had: refused, and nothing changes."""
        position = data.draw(st.sampled_from(sorted(self.done)))
        [lost] = self._settle(((position, position),), self.direct.unknown_lease(), outcome)
        assert lost.code == "lease_unknown"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), names=st.integers(0, 2), wait_us=st.sampled_from((1, 20 * SECOND)))
    def extend(self, data: st.DataObject, names: int, wait_us: int) -> None:
        """All its leases last as long again; what it names is what it works on."""
        position = data.draw(st.sampled_from(sorted(self.held)))
        session = self.terms[self.held[position].lease].session
        self._pass(wait_us)
        mine = [at for at, held in self.held.items() if self.terms[held.lease].session == session]
        named = [at for at in sorted(mine) if at >= position][:names]
        if not mine:
            return
        now = self.direct.now
        progress = Progress(tuple((position, position, 0) for position in named))
        event = ev.Extend(self._caller(), "group", session, progress)
        assert self._reply(event) == {}
        self.reports[session] = Report(now, tuple(named))
        for term in self.terms.values():
            if term.session == session:
                term.end_us = max(term.end_us, now + GROUP.lease_us)

    # ---- operators ------------------------------------------------------------------------------

    @rule(lane=st.sampled_from((DEFERRED, DEAD)))
    def look_at_a_lane(self, lane: str) -> None:
        args = {"group": "group", "lane": lane, "limit": 1_000}
        fields = self._reply(ev.Operate(self._caller(), "parked", args))
        parked = fields["parked"]
        listed = [at for one in parked for at in range(one["from"], one["to"] + 1)]
        assert listed == sorted(self.dead if lane == DEAD else self._in_deferred())
        for one in parked:
            attempts = {self.attempts.get(at, 0) for at in range(one["from"], one["to"] + 1)}
            assert attempts == {one["attempts"]}

    @rule(
        data=st.data(),
        verb=st.sampled_from(("retry", "drop")),
        lane=st.sampled_from((DEFERRED, DEAD)),
    )
    def operate(self, data: st.DataObject, verb: str, lane: str) -> None:
        """On some of what is there and some of what is not; what is out is left alone."""
        first = data.draw(st.integers(1, self.end))
        last = data.draw(st.integers(first, self.end + 1))
        there = self.dead if lane == DEAD else self.deferred.keys()
        chosen = [at for at in range(first, last + 1) if at in there]
        args = {"group": "group", "lane": lane, "ranges": ((first, last),)}
        fields = self._reply(ev.Operate(self._caller(), verb, args))
        missing = {at for low, high in fields["missing"] for at in range(low, high + 1)}
        assert fields["done"] == len(chosen)
        assert missing == set(range(first, last + 1)) - set(chosen)
        for position in chosen:
            self._operated(position, verb, lane)

    def _operated(self, position: int, verb: str, lane: str) -> None:
        self.dead.discard(position)
        self.deferred.pop(position, None)
        if verb == "drop":
            self.done.add(position)
            return
        self.deferred[position] = self.direct.now
        if lane == DEAD:
            self.attempts[position] = 0

    def _in_deferred(self) -> list[int]:
        return [*self.deferred, *(at for at, held in self.held.items() if held.lane != LIVE)]

    # ---- time and crashes -----------------------------------------------------------------------

    @rule(duration_us=st.sampled_from((1, SECOND, 12 * SECOND, 20 * SECOND, MINUTE)))
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
            self.past.append((held.lease, position))
            if held.lane == LIVE:
                self.live.append(position)
            else:
                self.deferred[position] = self.direct.now
        self.live.sort()
        self.held.clear()
        self.terms.clear()
        self.reports = {session: Report() for session in SESSIONS}
        self.n = dict.fromkeys(SESSIONS, 0)

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        places = [*self.live, *self.held, *self.deferred, *self.done, *self.dead]
        assert sorted(places) == sorted(self.wanted)

    def teardown(self) -> None:
        """Whatever happened, all of it can be handled in the end."""
        for _ in range(40 + 8 * self.end):
            if len(self.done) + len(self.dead) == len(self.wanted):
                return
            for position in sorted(self.held):
                held = self.held.pop(position)
                assert self._settle(((position, position),), held.lease, Outcome.ACK) == ()
                self._moved(position, held.lane, Outcome.ACK, alone=True)
            self.advance(MINUTE)
            self.poll(SESSIONS[0], 100, 20)
        raise AssertionError(f"left: live {self.live}, deferred {self.deferred}, {self.held}")

    # ---- what follows ---------------------------------------------------------------------------

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
        now = self.direct.now
        alone = grant.alone and len(positions) == 1
        self.terms[grant.lease] = Term(session, now, now + GROUP.lease_us, alone)

    def _settle(
        self, ranges: tuple[tuple[int, int], ...], lease: bytes, outcome: Outcome
    ) -> tuple[fx.Lost, ...]:
        verdict = Verdict(lease, ranges, outcome, started=False)
        return tuple(self._reply(ev.Settle(self._caller(), "group", (verdict,)))["refused"])

    def _moved(self, position: int, lane: str, outcome: Outcome, alone: bool) -> None:
        if outcome is Outcome.ACK:
            self.done.add(position)
        elif outcome is Outcome.REJECT:
            self.dead.add(position)
        elif outcome is Outcome.FAIL and alone:
            self._failed(position, self.direct.now)
        elif outcome is not Outcome.RELEASE or lane != LIVE:
            self.deferred[position] = self.direct.now
        else:
            insort(self.live, position)

    def _failed(self, position: int, now: int) -> None:
        before = self.attempts.get(position, 0)
        self.attempts[position] = before + 1
        if before + 1 >= GROUP.max_attempts:
            self.dead.add(position)
        else:
            self.deferred[position] = now + GROUP.backoff_us[min(before, 1)]

    def _expired(self, lease: bytes, term: Term) -> None:
        """A suspect that stands alone is counted, several are not; what was not started goes
        back."""
        suspects = self._suspects(lease, term)
        rest = {at: held for at, held in self.held.items() if held.lease == lease}
        alone = self._is_alone(lease, term, suspects)
        del self.terms[lease]
        for position, held in rest.items():
            del self.held[position]
            self.past.append((lease, position))
            if position not in suspects:
                self._moved(position, held.lane, Outcome.RELEASE, alone=False)
            elif alone:
                self._failed(position, term.end_us)
            else:
                self.deferred[position] = term.end_us

    def _suspects(self, lease: bytes, term: Term) -> list[int]:
        """What the session named since it was given the lease; all of it, if it said nothing."""
        report = self.reports[term.session]
        mine = [position for position, held in self.held.items() if held.lease == lease]
        if report.at_us > term.granted_us:
            return [position for position in mine if position in report.named]
        return mine

    def _is_alone(self, lease: bytes, term: Term, suspects: list[int]) -> bool:
        """Nothing else that the session has can be to blame."""
        others = [(one, other) for one, other in self.terms.items() if one != lease]
        company = [
            other
            for one, other in others
            if other.session == term.session and self._suspects(one, other)
        ]
        for other in company if suspects else ():
            other.company = True
        return len(suspects) == 1 and (term.alone or not (company or term.company))

    def _reply(self, event: ev.Event) -> Any:
        [reply] = [one for one in self.direct.step(event) if isinstance(one, fx.Reply)]
        return reply.fields

    def _caller(self) -> Caller:
        self.asked += 1
        return Caller(b"peer", (), self.asked)


def played(part: int, examples: int) -> None:
    """So many runs of STEPS; another part, other runs: they are derived from its name."""

    name = f"Delivery{part}"
    one = type(name, (Delivery,), {"__qualname__": name})
    run_state_machine_as_test(
        one,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_the_model_says_what_comes_of_it(part: int) -> None:
    """25,000 steps in all; `make prove METHOD=model` goes on with other parts."""
    played(part, EXAMPLES // PARTS)
