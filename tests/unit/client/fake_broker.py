"""A broker as a client sees it, small enough to read: no disk, no clock, no sockets.

It keeps the rules that clients depend on (sequences, numbered polls, leases, settles), and can be
told to refuse, to forget and to start anew.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

import msgpack

from layby import _block


class FakeBroker:
    def __init__(self) -> None:
        self.boot = 1
        self.log: list[tuple[str, bytes]] = []
        self.live: deque[tuple[int, str, bytes, int]] = deque()
        self.producers: dict[bytes, dict[int, int]] = {}
        self.sessions: dict[bytes, dict] = {}
        self.leases: dict[bytes, dict] = {}
        self.settled: list[tuple[str, list[int], dict]] = []
        self.requests: list[dict] = []
        self.refusals: deque[dict] = deque()
        self.mute: set[str] = set()
        self.granting = True
        self.why = "nothing"
        self.grant_fields: dict = {}
        self.hand_back_ms = 30
        self.lost: dict[int, str] = {}
        self.bad: set[int] = set()
        self._lease = 0

    # ---- what tests tell it

    def refuse(self, op: str, code: str, *, retryable: bool, times: int = 1, **fields) -> None:
        for _ in range(times):
            self.refusals.append({"of": op, "code": code, "retryable": retryable, **fields})

    def reboot(self) -> None:
        self.boot += 1
        self.sessions.clear()
        self.leases.clear()

    def publish(self, topic: str, *blocks: bytes) -> list[list[bytes]]:
        """Blocks that are there to be granted; answers parked polls."""
        for block in blocks:
            messages = _block.Block(block).messages
            first = len(self.log) + 1
            self.log += [(topic, body) for body in _block.Block(block).bodies(0, messages)]
            self.live.append((first, topic, block, messages))
        return self.answer_parked()

    def ops(self, op: str) -> list[dict]:
        return [request for request in self.requests if request["op"] == op]

    def outcomes(self, outcome: str) -> list[list[int]]:
        return [ranges for kind, ranges, _ in self.settled if kind == outcome]

    # ---- frames

    def handle(self, frames: list[bytes]) -> list[list[bytes]]:
        request = msgpack.unpackb(bytes(frames[0]))
        self.requests.append(request)
        op = request["op"]
        if op in self.mute:
            return []
        refusal = self._refusal(op)
        if refusal is not None:
            text = {k: v for k, v in request.items() if k in ("producer", "seq")}
            return [self._answer(request, ok=False, fault="ours", **text, **refusal)]
        if self._has_bad(request):
            fields = {"code": "bad_request", "fault": "yours", "retryable": False, "retry_ms": 0}
            return [self._answer(request, ok=False, text="delay_ms: too long", **fields)]
        block = bytes(frames[1]) if len(frames) > 1 else None
        return getattr(self, f"_{op}")(request, block)

    def _refusal(self, op: str) -> dict | None:
        if self.refusals and self.refusals[0]["of"] == op:
            found = self.refusals.popleft()
            return {"retry_ms": 0, "text": found["code"], **found}
        return None

    def _has_bad(self, request: dict) -> bool:
        """One entry that makes no sense has all of them refused."""
        ranges = [entry["ranges"] for entry in request.get("settle", ())]
        return any(low in self.bad for each in ranges for low in each)

    def _answer(self, request: dict, frames: tuple = (), **fields) -> list[bytes]:
        head = {"ok": True, "boot": self.boot, **fields}
        if "id" in request:
            head["id"] = request["id"]
        return [msgpack.packb(head), *frames]

    # ---- operations

    def _hello(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        limits = {"max_message": 1 << 20, "max_block": 2 << 20, "max_messages": 65_536}
        return [self._answer(request, version=1, server="fake", limits=limits, features=[])]

    def _status(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        return [self._answer(request, state="serving")]

    def _push(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        body = block if block is not None else _block.build([request["data"]])
        if "seq" not in request:
            return [self._answer(request, first=self._store(request, body), count=1)]
        rows = self.producers.setdefault(request["producer"], {})
        seq = request["seq"]
        expected = max(rows, default=0) + 1
        if seq > expected:
            fields = {"producer": request["producer"], "seq": seq, "expected": expected}
            fields |= {"code": "seq_gap", "fault": "yours", "retryable": True, "retry_ms": 0}
            return [self._answer(request, ok=False, text="gap", **fields)]
        answers = []
        if seq == expected:
            rows[seq] = self._store(request, body)
            answers = self.answer_parked()
        confirm = {
            "op": "confirm",
            "ok": True,
            "boot": self.boot,
            "producer": request["producer"],
            "from": seq,
            "upto": seq,
            "first": [rows[seq]],
        }
        return [[msgpack.packb(confirm)], *answers]

    def _store(self, request: dict, body: bytes) -> int:
        first = len(self.log) + 1
        block = _block.Block(body)
        topic = request["topic"]
        self.log += [(topic, each) for each in block.bodies(0, block.messages)]
        self.live.append((first, topic, body, block.messages))
        return first

    def _poll(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        refused = self._apply(request.get("settle", ()))
        session = self.sessions.setdefault(request["session"], {"parked": None, "given": []})
        said = session.get("said")
        if said is not None and said[0] == request["n"]:
            return [self._answer(request, said[1], **said[2], refused=refused)]
        for n, grants in reversed(session["given"]):
            if request["got"] < n < request["n"]:
                self.live.extendleft(reversed(grants))
        session["given"].clear()
        answers = []
        parked, session["parked"] = session["parked"], None
        if parked is not None:
            answers.append(self._empty(parked, "replaced"))
        if request["messages"] == 0:
            return [*answers, self._empty(request, "taken back", refused)]
        session["parked"] = {**request, "refused": refused}
        return answers + self.answer_parked()

    def _empty(self, poll: dict, why: str, refused: list | None = None) -> list[bytes]:
        rejected = refused if refused is not None else poll.get("refused", [])
        return self._answer(poll, n=poll["n"], leases=[], refused=rejected, why=why)

    def answer_parked(self) -> list[list[bytes]]:
        answers = []
        for session in self.sessions.values():
            poll = session["parked"]
            if poll is not None and self.live and self.granting:
                session["parked"] = None
                answers.append(self._grant(poll))
        return answers

    def _grant(self, poll: dict) -> list[bytes]:
        leases, blocks, given, left = [], [], [], poll["messages"]
        while self.live and left > 0 and len(leases) < 16:
            first, topic, block, messages = self.live.popleft()
            take = min(left, messages)
            bodies = _block.Block(block).bodies(0, messages)
            blocks.append(block if take == messages else _block.build(bodies[:take]))
            self._lease += 1
            lease = self.boot.to_bytes(4, "big") + self._lease.to_bytes(8, "big")
            ranges = [first, first + take - 1]
            self.leases[lease] = {"ranges": ranges, "session": poll["session"]}
            given.append((first, topic, blocks[-1], take))
            leases.append(
                {
                    "lease": lease,
                    "topic": topic,
                    "lane": "live",
                    "grant": self._lease,
                    "lease_ms": 30_000,
                    "ranges": ranges,
                    "at_us": 1_700_000_000_000_000,
                    **self.grant_fields,
                }
            )
            if take < messages:
                rest = _block.build(bodies[take:])
                self.live.appendleft((first + take, topic, rest, messages - take))
            left -= take
        self.sessions[poll["session"]]["given"].append((poll["n"], given))
        fields = {"n": poll["n"], "leases": leases, "hand_back_ms": self.hand_back_ms}
        self.sessions[poll["session"]]["said"] = (poll["n"], tuple(blocks), fields)
        return self._answer(poll, tuple(blocks), **fields, refused=poll["refused"])

    def _settle(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        return [self._answer(request, refused=self._apply(request["settle"]))]

    def _apply(self, entries) -> list[dict]:
        refused = []
        for entry in entries:
            low, high = entry["ranges"][0], entry["ranges"][-1]
            code = next((c for p, c in self.lost.items() if low <= p <= high), None)
            if code is not None:
                refused.append({"lease": entry["lease"], "ranges": entry["ranges"], "code": code})
            else:
                self.settled.append((entry["outcome"], entry["ranges"], entry))
        return refused

    def _extend(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        return [self._answer(request)]

    def _goodbye(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        self.sessions.pop(request["session"], None)
        return [self._answer(request)]

    def _read(self, request: dict, block: bytes | None) -> list[list[bytes]]:
        start = request["from"] if isinstance(request["from"], int) else 1
        if request["from"] == "latest" or isinstance(request["from"], dict):
            start = len(self.log) + 1
        until = request.get("until", len(self.log) + 1)
        wanted = self.log[start - 1 : until - 1][: request["limit"]]
        if not wanted:
            return [] if request["wait_ms"] else [self._answer(request, next=start, blocks=[])]
        topic = wanted[0][0]
        run = [body for _, body in takewhile(lambda row: row[0] == topic, wanted)]
        last = start + len(run) - 1
        fields = {"topic": topic, "ranges": [start, last], "at_us": 5_000_000}
        return [self._answer(request, (_block.build(run),), next=last + 1, blocks=[fields])]
