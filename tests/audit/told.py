"""Small histories for the auditor's tests: a broker that does as it is told, right or wrong.

Owns the telling. Times are milliseconds here; a call takes one unless the test says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.audit.auditor import audit
from tests.audit.history import Writer

if TYPE_CHECKING:
    from tests.audit.auditor import Account
    from tests.audit.history import Call, Line


class Told:
    """Each verb writes a whole call, sent at `now` and answered one later."""

    def __init__(self, group: str = "g") -> None:
        self.group = group
        self.lines: list[Line] = []
        self.now = 0
        self.boot = 1
        self._grants = 0
        self.writer = Writer(self.lines.append, lambda: self.now * 1_000)

    def at(self, ms: int) -> Told:
        self.now = ms
        return self

    def call(self, client: str, op: str, answer: dict[str, Any] | None, **asked: object) -> Call:
        """`answer` None: none came."""
        call = self.writer.invoke(client, op, **asked)
        self.now += 1
        if answer is None:
            self.writer.unknown(call)
        elif "code" in answer:
            self.writer.fail(call, answer["code"])
        else:
            self.writer.ok(call, **{"boot": self.boot} | answer)
        return call

    def push(self, *data: str, first: int, **fields: Any) -> None:
        self.call("prod", "push", {"first": first}, topic="app", data=list(data), **fields)

    def pushed(self, messages: int) -> Told:
        """So many of them at positions 1, 2, ..., named m1, m2, ..."""
        self.push(*(f"m{at}" for at in range(1, messages + 1)), first=1)
        return self

    def lease(self, *places: int, **fields: Any) -> dict[str, Any]:
        self._grants += 1
        usual = {
            "lease": f"{self.boot:04x}{self._grants:04x}",
            "topic": "app",
            "lane": "live",
            "grant": self._grants,
            "lease_ms": 1_000,
            "ranges": [end for at in places for end in (at, at)],
            "data": [f"m{at}" for at in places],
        }
        return usual | fields

    def poll(self, client: str, *leases: dict[str, Any], **fields: Any) -> str:
        """Gives the id of the last lease."""
        usual = {"group": self.group, "topics": ["*"], "messages": 100}
        self.call(client, "poll", {"leases": list(leases), "refused": []}, **usual | fields)
        return leases[-1]["lease"] if leases else ""

    def settle(
        self, client: str, lease: str, *places: int, outcome: str = "ack", **fields: Any
    ) -> None:
        ranges = [end for at in places for end in (at, at)]
        entry = {"lease": lease, "ranges": ranges, "outcome": outcome}
        entry |= {key: fields.pop(key) for key in ("delay_ms",) if key in fields}
        self.call(
            client,
            "settle",
            fields.pop("answer", {"refused": []}),
            group=self.group,
            settle=[entry],
        )

    def counted(self, **left: int) -> None:
        """What the broker counts in the group."""
        counts = {"waiting": 0, "out": 0, "deferred": 0, "dead": 0}
        self.call("o", "group", counts | left, group=self.group)

    def operate(self, verb: str, lane: str, **answer: object) -> None:
        """On message 1."""
        asked = {"group": self.group, "lane": lane, "ranges": [1, 1]}
        self.call("o", verb, {"done": 1, "missing": []} | answer, **asked)

    def restart(self) -> None:
        self.writer.event("kill", who="daemon")
        self.boot += 1
        self._grants = 0
        self.writer.event("start", boot=self.boot)

    def account(self) -> Account:
        return audit(self.lines)

    def broken(self) -> set[str]:
        """The promises that the auditor finds broken, each with lines that prove it."""
        account = self.account()
        assert all(breach.lines for breach in account.breaches)
        return {breach.promise for breach in account.breaches}
