"""The auditor: what a history proves about layby's promises.

Owns the order of judging and the account. Must never import the broker, nor ask it anything: it is
a model to hold against it, not an echo.

It accuses only of what is certain. A request lies between its sending and its answer; where that
leaves room for a run in which all promises hold, it is silent. Not judged: groups that were deleted
meanwhile, but for their messages' bytes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.audit import bounds, ends, grants, holding, reading
from tests.audit.ending import Ending
from tests.audit.evidence import Case
from tests.audit.failing import Failing
from tests.audit.grants import ACK, FAILED
from tests.audit.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.audit.evidence import Breach
    from tests.audit.grants import Book
    from tests.audit.history import Line

EXAMPLES = 3


class Account(NamedTuple):
    """What a history holds, and what it proves; all is well when `breaches` is empty.

    `unknown` are pushes without an answer, `recovered` those of them that came out all the same;
    `settled` messages have an ack that counts, per group."""

    lines: int
    pushed: int
    unknown: int
    recovered: int
    refused: int
    deliveries: int
    settled: int
    failures: int
    dead: int
    boots: int
    breaches: Sequence[Breach]

    @property
    def faults(self) -> list[str]:
        """One line for each promise that was broken."""
        return [
            f"{promise}: {len(texts)} ({'; '.join(texts[:EXAMPLES])})"
            for promise, texts in self.by_promise().items()
        ]

    def by_promise(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for breach in self.breaches:
            found.setdefault(breach.promise, []).append(breach.text)
        return found


def audit(lines: Iterable[Line]) -> Account:
    case = Case(lines)
    books = grants.books(case)
    log = Log(case, grants.sights(books))
    ends.set_ends(case, books)
    found = [*bounds.of_run(case), *log.breaches(), *reading.of_reads(case, log)]
    for book in books.values():
        if not book.deleted:
            found += _of_group(case, book, log)
    return _account(case, books, log, found)


def _of_group(case: Case, book: Book, log: Log) -> Iterator[Breach]:
    yield from book.breaches
    yield from holding.breaches(case, book)
    yield from reading.breaches(case, book, log)
    yield from Failing(case, book).breaches()
    yield from bounds.breaches(case, book)
    yield from Ending(case, book, log).breaches()


def _account(
    case: Case, books: Mapping[str, Book], log: Log, breaches: Sequence[Breach]
) -> Account:
    pushes: Counter[str] = Counter()
    for call in case.of("push"):
        known = "ok" if call.ok else "refused" if call.refused else "unknown"
        pushes[known] += len(call["data"])
        if known == "unknown":
            pushes["recovered"] += sum(text in log.where for text in call["data"])
    outcomes: Counter[str] = Counter()
    for book in books.values():
        for past in book.pasts.values():
            outcomes["given"] += len(past.grants)
            outcomes[ACK] += any(one.what == ACK and not one.void for one in past.outcomes)
            outcomes[FAILED] += len(
                {one.lease for one in past.outcomes if one.what == FAILED and not one.void}
            )
    dead = {
        (call["group"], row["from"] + i)
        for call in case.of("parked")
        if call.ok and call["lane"] == "dead"
        for row in call.said("parked")
        for i in range(row["to"] - row["from"] + 1)
    }
    boots = {
        call.said("boot") for some in case.calls.values() for call in some if call.said("boot")
    }
    return Account(
        lines=len(case.lines),
        pushed=pushes["ok"],
        unknown=pushes["unknown"],
        recovered=pushes["recovered"],
        refused=pushes["refused"],
        deliveries=outcomes["given"],
        settled=outcomes[ACK],
        failures=outcomes[FAILED],
        dead=len(dead),
        boots=len(boots),
        breaches=breaches,
    )
