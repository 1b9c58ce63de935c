"""A producer through every trouble: nothing confirmed is missing, nothing is stored twice, and
what one id stores is in the order it was pushed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from layby._pusher import Pusher
from layby._sequence import Limits, Lone
from layby.errors import LaybyError, OutcomeUnknown
from tests.unit.client.world import World

LIMITS = Limits(pushes=5, bytes=1_000)


class Producing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.pusher = Pusher(self.world.link, LIMITS)
        self.pushed = 0
        self.results: dict[int, int | LaybyError] = {}
        self.again: dict[int, list[int | LaybyError]] = {}

    @rule(timeout=st.sampled_from([0.5, 3.0, 30.0]))
    def push(self, timeout):
        number = self.pushed
        self.pushed += 1
        self.pusher.add(
            "app", Lone({"data": b"%d" % number}), 1, 100, self.world.now + timeout,
            lambda result: self.results.__setitem__(number, result),
        )  # fmt: skip

    @rule()
    def let_it_run(self):
        self.world.run()

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.7, 6.0]))
    def let_time_pass(self, seconds):
        self.world.pass_time(seconds)

    @rule(heard=st.integers(0, 4))
    def lose_the_connection_half_way(self, heard):
        """Requests reach the broker, some of its answers do not reach us."""
        self.world.link.advance(self.world.now)
        while self.world.link.outbox:
            self.world.wire.extend(self.world.broker.handle(self.world.link.outbox.popleft()))
        for _ in range(min(heard, len(self.world.wire))):
            self.world.link.receive(self.world.wire.popleft(), self.world.now)
        self.world.reconnect()

    @rule()
    def lose_what_is_sent(self):
        self.world.link.advance(self.world.now)
        self.world.link.outbox.clear()
        self.world.reconnect()

    @rule(times=st.integers(1, 4), code=st.sampled_from(["busy", "store_full", "quiescing"]))
    def refuse_for_now(self, times, code):
        self.world.broker.refuse("push", code, retryable=True, times=times, retry_ms=30)

    @rule()
    def refuse_for_good(self):
        self.world.broker.refuse("push", "too_large", retryable=False)

    @rule(cut=st.booleans(), deaf=st.booleans())
    def lose_requests_or_answers(self, cut, deaf):
        self.world.cut, self.world.deaf = cut, deaf

    @precondition(lambda self: self.unknown())
    @rule(data=st.data())
    def push_again(self, data):
        number = data.draw(st.sampled_from(sorted(self.unknown())))
        answers = self.again[number] = []
        assert self.pusher.add_again(self.results[number], self.world.now + 30, answers.append)

    def unknown(self) -> set[int]:
        """Pushes whose outcome is unknown and that may be pushed again."""
        return {
            number
            for number, result in self.results.items()
            if isinstance(result, OutcomeUnknown)
            and result._sequence is not None
            and result._sequence.has_ended(result._push)
        }

    @invariant()
    def everything_confirmed_is_stored_where_it_says(self):
        log = [body for _, body in self.world.broker.log]
        assert len(log) == len(set(log)), "stored twice"
        for number, result in self.results.items():
            if isinstance(result, int):
                assert log[result - 1] == b"%d" % number
            elif not isinstance(result, OutcomeUnknown):
                assert b"%d" % number not in log, "refused, and yet stored"
        for number, answers in self.again.items():
            for position in answers:
                if isinstance(position, int):
                    assert log[position - 1] == b"%d" % number

    @invariant()
    def one_id_stores_in_order(self):
        for rows in self.world.broker.producers.values():
            positions = [rows[seq] for seq in sorted(rows)]
            assert sorted(rows) == list(range(1, len(rows) + 1))
            assert positions == sorted(positions)

    def teardown(self):
        """Once all is well again, everything ends."""
        self.world.cut = self.world.deaf = False
        self.world.broker.refusals.clear()
        self.world.reconnect()
        self.push(timeout=30.0)
        self.world.pass_time(1)
        assert isinstance(self.results[self.pushed - 1], int)
        self.world.pass_time(40)
        assert set(self.results) == set(range(self.pushed))
        assert self.pusher.pushes == 0
        assert self.world.link.flight_bytes == 0
        self.everything_confirmed_is_stored_where_it_says()


TestProducing = Producing.TestCase
TestProducing.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
