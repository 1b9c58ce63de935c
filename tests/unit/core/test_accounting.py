"""Nothing is lost and nothing is handed out twice, whatever clients do: a seeded storm of
requests, repeats, deaths and restarts against a model that knows only what it was told."""

import random
from bisect import insort
from itertools import pairwise

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.intervals import RangeSet
from laybyd.core.types import Outcome, Piece, Verdict
from tests.builders import (
    MS,
    SECOND,
    Table,
    a_caller,
    positions,
    settings,
)

TOPICS = ("app.a", "app.b", "other")
GROUP = {
    "backoff_us": (100 * MS, 300 * MS),
    "lease_us": 2 * SECOND,
    "max_handling_us": 1 * SECOND,
    "max_attempts": 3,
    "deferred_bytes": 4_000,
    "dead_bytes": 2_000,
    "max_wait_us": 5 * SECOND,
    "leases_per_session": 5,
    "max_out": 300,
}


class Storm:
    """Random clients, and what they know: `acked` is what was confirmed to them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.table = Table(
            settings(GROUP, window_rows=8, head_records=8, settle_flush_deltas=20), True
        )
        self.sessions: dict[str, int] = {}
        self.got: dict[str, int] = {}
        self.all: list[fx.Grant] = []
        self.leases: set[bytes] = set()
        self.asked: list[Verdict] = []
        self.acked: set[int] = set()
        self.pending: list[Verdict] = []
        self.wanted: set[int] = set()
        self.firsts: list[tuple[int, int, int]] = []
        self.seen = 0

    # ---- what clients do

    def push(self) -> None:
        topic = self.random.choice(TOPICS)
        messages = self.random.choice((1, 1, 2, 5, 40))
        first = self.table.push(topic, messages)
        if topic.startswith("app"):
            self.wanted |= set(range(first, first + messages))

    def poll(self, credit: int | None = None) -> None:
        name = self.random.choice(("a", "b", "c", "d"))
        n = self.sessions.get(name, 0) + self.random.choice((1, 1, 1, 1, 0))
        n = max(n, 1)
        self.sessions[name] = n
        heard = self.random.random() < 0.9
        got = n - 1 if heard else min(self.got.get(name, 0), n - 1)
        self.got[name] = got
        handlers = self.random.choice((1, 2, 4))
        verdicts = tuple(self.verdict() for _ in range(self.random.choice((0, 0, 1, 3))))
        self.table.poll(
            name,
            n=n,
            got=got,
            topics=("app.*",),
            credit=self.random.choice((0, 1, 5, 100)) if credit is None else credit,
            credit_bytes=self.random.choice((1, 1_000, 1 << 20)),
            wait_ms=self.random.choice((0, 100, 5_000)),
            handlers=handlers,
            idle=self.random.randint(0, handlers),
            verdicts=tuple(one for one in verdicts if one),
        )

    def verdict(self, outcome: Outcome | None = None) -> Verdict | None:
        if not self.all:
            return None
        recent = self.all[-30:] if self.random.random() < 0.9 else self.all
        grant = self.random.choice(recent)
        some = positions(grant)
        first = self.random.choice(some)
        last = self.random.choice([at for at in some if at >= first])
        if self.random.random() < 0.4:
            first, last = min(some), max(some)
        known = set(some)
        runs, at = [], first
        while at <= last:
            if at in known:
                end = at
                while end + 1 in known and end + 1 <= last:
                    end += 1
                runs.append((at, end))
                at = end
            at += 1
        kinds = [Outcome.ACK] * 6 + list(Outcome)
        return Verdict(
            grant.lease,
            tuple(runs),
            outcome or self.random.choice(kinds),
            "because",
            200,
            self.random.random() < 0.5,
        )

    def settle(self) -> None:
        verdict = self.verdict()
        if verdict is not None:
            if self.random.random() < 0.2:
                self.pending.append(verdict)
            self.asked.append(verdict)
            caller = a_caller("settler", len(self.asked))
            self.table.step(ev.Settle(caller, "g", (verdict,)))

    def repeat(self) -> None:
        if self.pending:
            verdict = self.random.choice(self.pending)
            self.table.step(ev.Settle(a_caller("settler"), "g", (verdict,)))

    def extend(self) -> None:
        name = self.random.choice(("a", "b", "c", "d"))
        working = []
        for grant in self.all[-5:]:
            at = self.random.choice(positions(grant))
            working.append((at, at, self.random.choice((0, 500, 3_000))))
        self.table.extend(name, working, [(1, 500)])

    def goodbye(self) -> None:
        name = self.random.choice(("a", "b", "c", "d"))
        self.table.step(ev.Goodbye(a_caller(name), "g", name.encode()))

    def undeliver(self) -> None:
        if self.all:
            grant = self.random.choice(self.all[-3:])
            self.table.step(ev.Undelivered(self.answer_of(grant).caller, "g", (grant.lease,)))

    def answer_of(self, grant: fx.Grant) -> fx.Deliver:
        """The last that told of a lease."""
        answers = (one for one in reversed(self.table.sent) if isinstance(one, fx.Deliver))
        return next(one for one in answers if grant.lease in [other.lease for other in one.leases])

    def shorten(self) -> None:
        if self.all and len(self.all[-1].pieces) > 1:
            self.table.step(ev.Shortened("g", self.all[-1].lease, 1))

    def damage(self) -> None:
        if self.all:
            grant = self.all[-1]
            piece: Piece = grant.pieces[0]
            self.table.step(ev.Unmade(self.answer_of(grant), (piece.first, piece.last)))

    def wait(self) -> None:
        self.table.wait(self.random.choice((0, 1 * MS, 10 * MS, 200 * MS, 1 * SECOND, 3 * SECOND)))

    def retry(self) -> None:
        lane = self.random.choice(("deferred", "dead"))
        at = self.random.randint(1, self.table.log_end)
        verb = self.random.choice(("retry", "retry", "parked"))
        self.table.operate(verb, group="g", lane=lane, ranges=((at, at + 5),))

    def drop(self) -> None:
        at = self.random.randint(1, self.table.log_end)
        args = {"lane": self.random.choice(("deferred", "dead")), "ranges": ((at, at + 3),)}
        self.table.operate("drop", group="g", **args)

    def delete_topic(self) -> None:
        self.table.operate("topic_delete", topic=self.random.choice(TOPICS))

    def lag(self) -> None:
        """Let the store be slow for a while."""
        if self.table.hold:
            self.table.hold = set()
            self.table.release()
        else:
            self.table.hold = {fx.Commit, fx.LoadDue, fx.FindParked}
            self.table.hold |= {fx.LoadRows} if self.random.random() < 0.5 else set()

    def restart(self) -> None:
        """Killed at any time, or stopped when all is committed."""
        crash = self.random.random() < 0.5
        self.table.hold = set()
        if not crash:
            self.table.release()
            self.table.wait(10 * MS)
        self.table.restart(crash)
        self.firsts = []
        self.got = dict.fromkeys(self.got, 0)
        self.sessions = {}

    # ---- what must hold

    def look(self) -> None:
        for effect in self.table.sent[self.seen :]:
            if isinstance(effect, fx.Deliver):
                for grant in effect.leases:
                    self.look_at(grant)
            elif isinstance(effect, fx.Reply) and isinstance(effect.caller.id, int):
                self.take_note_of_acks(self.asked[effect.caller.id - 1], effect)
        self.seen = len(self.table.sent)
        self.look_inside()

    def take_note_of_acks(self, verdict: Verdict, reply: fx.Reply) -> None:
        """A confirmed ack stands for ever."""
        if verdict.outcome is Outcome.ACK:
            taken = RangeSet(verdict.ranges)
            for lost in reply.fields["refused"]:
                for first, last in lost.ranges:
                    taken.remove(first, last)
            self.acked |= {at for first, last in taken for at in range(first, last + 1)}

    def look_at(self, grant: fx.Grant) -> None:
        if grant.lease in self.leases:
            return
        self.leases.add(grant.lease)
        self.all.append(grant)
        for at in positions(grant):
            assert at in self.wanted, f"{at} is not of the group's topics"
            assert at not in self.acked, f"{at} was handed out after its ack"
        of_this_boot = int.from_bytes(grant.lease[:4], "big") == self.table.boot
        if of_this_boot and grant.lane == "live" and not grant.deliveries:
            some = positions(grant)
            assert some == sorted(some)
            insort(self.firsts, (grant.number, some[0], some[-1]))
            assert_rising(self.firsts)

    def look_inside(self) -> None:
        group = self.table.broker._groups.get("g")
        if group is None:
            return
        parts = group.parts
        held: set[int] = set()
        out = 0
        for lease in parts.leases.live.values():
            assert lease.left == lease.open.measure()
            assert lease.left > 0
            out += lease.left
            for first, last in lease.open:
                run = set(range(first, last + 1))
                assert not run & held, "one message in two leases"
                held |= run
            if lease.lane == "deferred":
                records = {at for one in lease.records for at in range(one.first, one.last + 1)}
                assert records == {
                    at for first, last in lease.open for at in range(first, last + 1)
                }
        assert out == parts.leases.out
        back = {at for one in parts.live.returned for at in range(one.first, one.last + 1)}
        assert not back & held
        ready = len(back) + sum(
            len(range(max(run[0], parts.live.cursor), run[1] + 1))
            for row in parts.live.window
            for run in parts.floor.open_in(row.first, row.last)
        )
        assert ready == parts.live.ready
        for at in self.wanted:
            done = not parts.floor.open_in(at, at)
            if not done and at < parts.live.cursor:
                assert at in held or at in back, f"{at} is lost"
            if done and at in held:
                assert any(one.first <= at <= one.last for one in parts.deferred.out), (
                    f"{at} is settled and held"
                )
        self.look_at_the_store(parts, held)

    def look_at_the_store(self, parts, held: set[int]) -> None:
        if self.table.hold or not parts.journal.clean:
            return
        gid = parts.record.gid
        for lane, messages in (("deferred", parts.account.deferred), ("dead", parts.account.dead)):
            stored = self.table.state.lane(gid, lane).values()
            assert messages == sum(one.messages for one in stored)
            size = sum(one.size for one in stored if not one.in_log)
            assert parts.account.size[lane] == size
        stored = list(self.table.state.lane(gid, "deferred").values())
        waiting = {one.first for one in parts.deferred.waiting()}
        is_out = {one.first for one in parts.deferred.out}
        for one in stored:
            known = one.first in waiting or one.first in is_out
            horizon = parts.deferred.horizon
            beyond = horizon is not None and (one.due_us, one.first) > horizon
            assert known or beyond, f"{one} is forgotten"
        assert waiting | is_out <= {one.first for one in stored}
        pinned = [one for one in stored if one.in_log]
        assert all(parts.account.pinned.covers(one.first, one.last) for one in pinned)

    def calm_down(self) -> None:
        """No more faults: everything is settled in the end."""
        self.table.hold = set()
        self.table.release()
        self.look()
        for _ in range(3_000):
            self.table.wait(300 * MS)
            self.look()
            sent = self.table.poll(
                "last",
                topics=("app.*",),
                credit=500,
                handlers=50,
                idle=50,
                wait_ms=100,
            )
            sent += self.table.wait(100 * MS)
            grants = [g for one in sent if isinstance(one, fx.Deliver) for g in one.leases]
            for grant in grants:
                refused = self.table.settle(grant)
                assert refused == []
            self.look()
            group = self.table.group()
            if not any(group[key] for key in ("waiting", "deferred", "out")):
                break
        group = self.table.group()
        assert (group["waiting"], group["out"], group["deferred"]) == (0, 0, 0)
        assert group["floor"] == self.table.log_end
        assert not self.table.state.lane(1, "deferred")


def assert_rising(firsts: list[tuple[int, int, int]]) -> None:
    """First grants rise in position with the grant number."""
    for (_, _, last), (_, first, _) in pairwise(firsts):
        assert last < first, "first grants out of order"


@pytest.mark.parametrize("seed", range(30))
def test_a_storm_loses_nothing_and_settles_everything(seed):
    storm = Storm(seed)
    steps = [storm.push] * 6 + [storm.poll] * 8 + [storm.settle] * 6 + [storm.wait] * 4
    steps += [storm.repeat, storm.extend, storm.goodbye, storm.undeliver, storm.shorten]
    steps += [storm.retry, storm.lag, storm.damage, storm.drop]
    storm.poll(credit=0)
    for number in range(400):
        act = storm.random.choice(steps)
        if number % 133 == 132:
            act = storm.restart
        if storm.table.hold and act in (storm.retry, storm.drop):
            continue
        act()
        storm.look()
    storm.calm_down()
