"""What a client knows of the store from what it was told: the promises that are to be judged.

Owns the meaning of the marks. A push or a settle is open from when it is sent until it is
answered; while it is open both outcomes are right, afterwards one. Must never know the daemon's
code, a disk or a recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

LIVE = ("live",)
DONE = ("done",)
DEAD = ("dead",)
MAX_ATTEMPTS = 3

State = tuple[str] | tuple[str, int]
"""Of a message in a group: live, done, dead, or deferred with its counted failures."""


class Push(NamedTuple):
    """Messages of one request, by their names. `seq` is 0 for a push without a sequence."""

    producer: str
    seq: int
    topic: str
    names: tuple[str, ...]
    size: int
    packed: bool


def body(name: str, size: int) -> bytes:
    """A message's bytes: its name, and a filling that no other message has."""
    return (f"{name} " * (size // (len(name) + 1) + 1))[:size].encode()


def name_of(data: bytes) -> str:
    return data.split(b" ", 1)[0].decode()


def after(outcome: str, state: State, attempts: int) -> State:
    """What an outcome makes of a message that was handed out with so many attempts."""
    if outcome == "ack":
        return DONE
    if outcome == "reject":
        return DEAD
    if outcome == "release":
        return state
    failed = attempts + (outcome == "fail")
    return DEAD if failed >= MAX_ATTEMPTS else ("deferred", failed)


@dataclass
class Group:
    confirmed: bool = False
    states: dict[int, set[State]] = field(default_factory=dict)
    """Of each message that was ever settled, the states that are right."""

    def allowed(self, position: int) -> set[State]:
        return self.states.get(position, {LIVE})


class Knowledge:
    def __init__(self) -> None:
        self.pushes: dict[str, Push] = {}
        """By message; refused ones are taken out again."""
        self.positions: dict[str, int] = {}
        """Of the confirmed messages."""
        self.groups: dict[str, Group] = {}
        self.last_seq: dict[str, int] = {}
        """Of each producer the last push that was confirmed."""
        self._settles: dict[int, dict[int, State]] = {}

    def take(self, mark: dict[str, Any]) -> None:
        fields = dict(mark)
        getattr(self, f"_{fields.pop('do')}")(**fields)

    def _push(self, names: list[str], **push: Any) -> None:
        made = Push(names=tuple(names), **push)
        self.pushes.update(dict.fromkeys(names, made))

    def _stored(self, names: list[str], first: int) -> None:
        push = self.pushes[names[0]]
        for offset, name in enumerate(push.names):
            self.positions[name] = first + offset
        if push.seq:
            self.last_seq[push.producer] = max(self.last_seq.get(push.producer, 0), push.seq)

    def _refused(self, names: list[str]) -> None:
        for name in names:
            del self.pushes[name]

    def _poll(self, group: str) -> None:
        self.groups.setdefault(group, Group())

    def _made(self, group: str) -> None:
        self.groups[group].confirmed = True

    def _settle(self, group: str, number: int, entries: list[list[Any]]) -> None:
        """Entries: position, outcome, lane and attempts as handed out."""
        made = {}
        for position, outcome, lane, attempts in entries:
            state: State = LIVE if lane == "live" else ("deferred", attempts)
            made[position] = after(outcome, state, attempts)
            states = self.groups[group].states
            states.setdefault(position, {LIVE}).add(made[position])
        self._settles[number] = made

    def _settled(self, group: str, number: int) -> None:
        for position, state in self._settles.pop(number).items():
            self.groups[group].states[position] = {state}
