"""One fault: a new store, a client at work, one call that fails, a second start, an audit.

Owns that order. Must never know which ends are right; it tells what happened.
"""

from __future__ import annotations

import shutil
import struct
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.crash.broker import Broker, Ended, Silent
from tests.crash.knowledge import Knowledge
from tests.crash.replay import in_a_child
from tests.crash.shim import Orders
from tests.crash.workload import Nameless, Workload
from tests.faults.cases import wrong_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.cases import Case

ROUNDS = 8
ROUNDS_AFTERWARDS = 2
LONGS = struct.Struct("128q")
REFUSALS = {"store_full", "seq_gap", "busy"}
OUT_OF_MEMORY = {"internal"}


class Outcome(NamedTuple):
    """`calls` of the class, `fired` or not; how it ended (None: it lived); what is wrong."""

    calls: int
    fired: bool
    ended: int | None
    problems: list[str]


def run(home: Path, case: Case) -> Outcome:
    shutil.rmtree(home, ignore_errors=True)
    root = home / "root"
    root.mkdir(parents=True)
    counts = home / "counts"
    counts.write_bytes(bytes(LONGS.size))
    known = Knowledge()
    fault = (case.series.call, case.nth, case.series.error, 1)
    broker = Broker(home, root / "store", Orders(root, fault=fault, counts=counts))
    problems, ended = _at_work(broker, known, case)
    calls = LONGS.unpack(counts.read_bytes())
    problems += _afterwards(home, root, known)
    if problems:
        problems.append(broker.log_path.read_text()[-2_000:])
    return Outcome(calls[ord(case.series.call)], calls[0] > 0, ended, problems)


def _at_work(broker: Broker, known: Knowledge, case: Case) -> tuple[list[str], int | None]:
    """What is wrong with how it took the fault, and with which code it ended."""
    workload = _workload(broker, known, "t")
    at_start = True
    try:
        broker.start()
        at_start = False
        workload.begin()
        _rounds(workload, case)
        problems = _odd(workload, case)
        code = broker.stop()
        wrong = wrong_end(case, code or None, at_start=False)
        return problems + ([wrong] if wrong else []), None
    except Ended as end:
        wrong = wrong_end(case, end.code, at_start)
        return _odd(workload, case) + ([wrong] if wrong else []), end.code
    except Nameless:
        return _odd(workload, case), None
    except Silent as error:
        return [str(error)], None
    finally:
        broker.kill()


def _rounds(workload: Workload, case: Case) -> None:
    """Where memory lacks, a connection may be lost with what was on it; who comes is served."""
    try:
        for _ in range(ROUNDS):
            workload.round()
    except Silent:
        if case.series.call != "A" or not workload.broker.serves():
            raise


def _odd(workload: Workload, case: Case) -> list[str]:
    right = REFUSALS | OUT_OF_MEMORY if case.series.call == "A" else REFUSALS
    return [f"refused: {code}" for code in {*workload.refusals} - right]


def _afterwards(home: Path, root: Path, known: Knowledge) -> list[str]:
    """A second daemon, without a fault, goes on; then all that was ever promised is looked for."""
    broker = Broker(home, root / "store", None)
    try:
        broker.start()
        workload = _workload(broker, known, "u")
        workload.begin()
        for _ in range(ROUNDS_AFTERWARDS):
            workload.round()
        code = broker.stop()
    except (Ended, Silent) as error:
        return [f"afterwards: {error}"]
    finally:
        broker.kill()
    found = in_a_child(root / "store", known)
    return found if not code else [*found, f"afterwards it stopped with {code}"]


def _workload(broker: Broker, known: Knowledge, tag: str) -> Workload:
    return Workload(broker, lambda **mark: known.take(mark), Random(tag), tag)
