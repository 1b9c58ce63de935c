"""What the simulated clients saw and did, written down for the auditor of histories.

Owns the translation of requests and answers. Believes nothing and knows nothing that a client does
not: the second auditor judges the same run from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import CoreSettings
from laybyd.core.types import Progress, Verdict
from tests.audit.history import DAEMON, Call, Line, Writer
from tests.simulation import bodies
from tests.simulation.changers import shortest_wait_us
from tests.simulation.network import Answer, Witness
from tests.simulation.world import MS, World

Fields = dict[str, Any]
Key = tuple[str, int]


class Scribe(Witness):
    """`name` is the client's, whatever life it is in; `label` says which of them it is."""

    def __init__(self, world: World, settings: CoreSettings, changes: bool) -> None:
        self.lines: list[Line] = []
        self._world = world
        self._writer = Writer(self.lines.append, lambda: world.now - world.begun)
        self._calls: dict[Key, Call] = {}
        self._pushes: dict[tuple[bytes, int], Call] = {}
        self._asked: dict[type, Callable[[Any], tuple[str, Fields] | None]] = {
            ev.Push: lambda push: ("push", _push(push)),
            ev.Poll: lambda poll: ("poll", _poll(poll)),
            ev.Settle: lambda one: ("settle", {"group": one.group, "settle": _told(one.verdicts)}),
            ev.Extend: lambda one: ("extend", _extend(one)),
            ev.Goodbye: lambda one: (
                "goodbye",
                {"group": one.group, "session": one.session.hex()},
            ),
            ev.Operate: lambda one: (one.verb, _operate(one.args)),
        }
        limits = _loosest(settings) if changes else _limits(settings)
        self._writer.event("limits", **limits)
        self.faults(True)

    # ---- clients --------------------------------------------------------------------------------

    def sent(self, name: str, label: str, request: int, event: Any) -> None:
        asked = self._asked.get(type(event))
        known = asked and asked(event)
        if not known:
            return
        op, fields = known
        if isinstance(event, ev.Push) and event.producer is not None and event.seq is not None:
            if (event.producer, event.seq) not in self._pushes:
                call = self._writer.invoke(label, op, **fields)
                self._pushes[event.producer, event.seq] = call
        else:
            self._calls[name, request] = self._writer.invoke(label, op, **fields)

    def heard(self, name: str, answer: Answer) -> None:
        effect = answer.effect
        if isinstance(effect, fx.Confirm):
            for seq, first in enumerate(effect.positions, effect.first_seq):
                call = self._pushes[effect.producer, seq]
                self._writer.ok(call, boot=answer.boot, first=first)
            return
        call = self._calls.get((name, effect.caller.id))  # type: ignore[assignment]
        if call is None:
            return
        if isinstance(effect, fx.Refuse):
            self._writer.fail(call, effect.code)
        else:
            self._writer.ok(call, boot=answer.boot, **_answered(effect, answer.blocks))

    def given_up(self, name: str, request: int) -> None:
        call = self._calls.get((name, request))
        if call is not None:
            self._writer.unknown(call)

    def gone(self, name: str, label: str) -> None:
        """Its process is dead: what it waits for it will never know."""
        for key in [key for key in self._calls if key[0] == name]:
            del self._calls[key]
        self._writer.event("kill", who=label)

    # ---- the run --------------------------------------------------------------------------------

    def died(self) -> None:
        self._writer.event("kill", who=DAEMON)

    def started(self, boot: int, jump_us: int) -> None:
        if jump_us:
            self._writer.event("wall", by_us=jump_us)
        self._writer.event("start", boot=boot)

    def faults(self, on: bool) -> None:
        self._writer.event("faults", on=on)

    def ended(self) -> None:
        self._writer.event("end", drained=True)


# ---- what is asked ------------------------------------------------------------------------------


def _push(push: ev.Push) -> Fields:
    assert isinstance(push.body, bytes)
    fields: Fields = {"topic": push.topic, "data": [str(one) for one in bodies.read(push.body)]}
    if push.producer is not None:
        fields |= {"producer": push.producer.hex(), "seq": push.seq}
    return fields


def _poll(poll: ev.Poll) -> Fields:
    fields: Fields = {"group": poll.group, "topics": poll.topics, "messages": poll.credit}
    fields |= _start(poll.start, poll.start_us)
    if poll.session is not None:
        fields |= {"session": poll.session.hex(), "n": poll.n, "got": poll.got}
        fields |= {"handlers": poll.handlers, "idle": poll.idle}
    if poll.verdicts:
        fields["settle"] = _told(poll.verdicts)
    return fields if poll.progress is None else fields | _progress(poll.progress)


def _extend(extend: ev.Extend) -> Fields:
    session = {"group": extend.group, "session": extend.session.hex()}
    return session | _progress(extend.progress)


def _progress(progress: Progress) -> Fields:
    return {"working": progress.working, "hold": progress.hold}


def _told(verdicts: Iterable[Verdict]) -> list[Fields]:
    return [
        {
            "lease": verdict.lease.hex(),
            "ranges": _flat(verdict.ranges),
            "outcome": str(verdict.outcome),
            "delay_ms": verdict.delay_ms or 0,
            "started": verdict.started,
        }
        for verdict in verdicts
    ]


def _operate(args: Mapping[str, Any]) -> Fields:
    fields = {key: one for key, one in args.items() if key not in ("start", "start_us")}
    if "ranges" in args:
        fields["ranges"] = _flat(args["ranges"])
    if "settings" in args:
        fields["settings"] = _settings(args["settings"])
    return fields | _start(args.get("start"), args.get("start_us"))


def _settings(given: Mapping[str, Any]) -> Fields:
    """As the protocol has them."""
    return {
        name.replace("_us", "_ms"): _ms(one) if name.endswith("_us") else one
        for name, one in given.items()
    }


def _ms(value: int | tuple[int, ...]) -> int | list[int]:
    return value // MS if isinstance(value, int) else [one // MS for one in value]


def _start(start: str | int | None, start_us: int | None) -> Fields:
    if start_us is not None:
        return {"start": {"time_us": start_us}}
    return {} if start is None else {"start": start}


# ---- what is answered ---------------------------------------------------------------------------


def _answered(effect: Any, blocks: tuple[tuple[int, ...], ...]) -> Fields:
    if isinstance(effect, fx.Deliver):
        leases = [_lease(*one) for one in zip(effect.leases, blocks, strict=False)]
        return {
            "n": effect.n,
            "leases": leases,
            "refused": _refused(effect.refused),
            "why": effect.why,
        }
    assert isinstance(effect, fx.Reply)
    fields: Any = dict(effect.fields)
    if "refused" in fields:
        fields["refused"] = _refused(fields["refused"])
    if "missing" in fields:
        fields["missing"] = _flat(fields["missing"])
    return fields  # type: ignore[no-any-return]


def _lease(grant: fx.Grant, values: tuple[int, ...]) -> Fields:
    return {
        "lease": grant.lease.hex(),
        "topic": grant.topic,
        "lane": grant.lane,
        "grant": grant.number,
        "lease_ms": grant.lease_ms,
        "alone": grant.alone,
        "ranges": _flat((piece.first, piece.last) for piece in grant.pieces),
        "attempts": grant.attempts,
        "deliveries": grant.deliveries,
        "data": [str(value) for value in values],
    }


def _refused(lost: Iterable[fx.Lost]) -> list[Fields]:
    return [
        {"lease": part.lease.hex(), "ranges": _flat(part.ranges), "code": part.code}
        for part in lost
    ]


def _flat(ranges: Iterable[tuple[int, int]]) -> list[int]:
    return [end for one in ranges for end in one]


def _limits(settings: CoreSettings) -> Fields:
    group = settings.group
    return {
        "lease_ms": group.lease_us // MS,
        "max_handling_ms": group.max_handling_us // MS,
        "backoff_ms": [one // MS for one in group.backoff_us],
        "max_attempts": group.max_attempts,
        "max_out": group.max_out,
        "max_wait_ms": group.max_wait_us // MS,
        "leases_per_session": group.leases_per_session,
    }


def _loosest(settings: CoreSettings) -> Fields:
    """Of groups whose settings are changed: what holds of them all the time."""
    return {"max_wait_ms": shortest_wait_us(settings.group) // MS}
