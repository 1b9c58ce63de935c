"""What a finished run means for its message.

Owns the exit codes' meanings and the environment of a run. Must never know how a run is made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from layby.cli.messages import timestamp_us
from layby.cli.process import Ended
from layby.cli.text import clock, duration

if TYPE_CHECKING:
    from layby import Message

DEFER = 75
REJECT = 65
CANNOT_RUN = 126
NOT_FOUND = 127
REASON_BYTES = 1_000


class Rules(NamedTuple):
    """What the command line said about every run."""

    command: tuple[str, ...]
    group: str
    timeout: float | None = None
    defer_delay: float = 10.0


class Verdict(NamedTuple):
    """An outcome to give a message."""

    outcome: str
    reason: str = ""
    delay: float = 0.0

    def apply(self, message: Message) -> None:
        match self.outcome:
            case "ack":
                message.ack()
            case "release":
                message.release()
            case "reject":
                message.reject(self.reason)
            case "defer":
                message.defer(self.delay, self.reason)
            case _:
                message.fail(self.reason)


def read(ended: Ended, rules: Rules) -> Verdict:
    if ended.stopped:
        return Verdict("release")
    if ended.timed_out:
        return Verdict("fail", f"killed after {duration(rules.timeout or 0)}")
    reason = _cut(ended.last_line)
    match ended.status:
        case 0:
            return Verdict("ack")
        case 75:
            return Verdict("defer", reason, rules.defer_delay)
        case 65:
            return Verdict("reject", reason or "exit 65")
        case 126 | 127:
            return Verdict("release")
        case status if status < 0:
            return Verdict("fail", f"signal {-status}")
        case status:
            return Verdict("fail", reason or f"exit {status}")


def _cut(line: str) -> str:
    return line.encode()[:REASON_BYTES].decode(errors="ignore")


def record(
    message: Message, group: str, verdict: Verdict, ended: Ended, seconds: float
) -> dict[str, Any]:
    """One run for programs."""
    return {
        "topic": message.topic,
        "group": group,
        "position": message.position,
        "attempts": message.attempts,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "status": ended.status,
        "seconds": seconds,
    }


def environment(message: Message, group: str) -> dict[bytes, bytes]:
    """Ours, and what the run may want to know. A key that cannot stand there is left out."""
    env = dict(os.environb)
    env.pop(b"LAYBY_KEY", None)
    env[b"LAYBY_TOPIC"] = message.topic.encode()
    env[b"LAYBY_GROUP"] = group.encode()
    env[b"LAYBY_POSITION"] = b"%d" % message.position
    env[b"LAYBY_ATTEMPTS"] = b"%d" % message.attempts
    env[b"LAYBY_TIMESTAMP"] = clock(timestamp_us(message)).encode()
    if message.key and b"\0" not in message.key:
        env[b"LAYBY_KEY"] = message.key
    return env
