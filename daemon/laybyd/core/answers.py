"""What becomes of answers with leases on their way out.

Owns the news of them: being fetched, gone out, unsent, unmade, shortened. Must never know what is
handed out, nor how bytes are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence

from laybyd.core import events
from laybyd.core.effects import Note
from laybyd.core.expiry import Expiry
from laybyd.core.intervals import RangeSet
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.polls import Polls
from laybyd.core.types import Caller


class Answers:
    def __init__(self, parts: Parts, expiry: Expiry, polls: Polls) -> None:
        self._parts = parts
        self._expiry = expiry
        self._polls = polls

    def heard(self, event: events.AnswerNews, now: int) -> None:
        if isinstance(event, events.Fetching):
            self._polls.hold_back(self._live(event.leases))
        elif isinstance(event, events.Fetched):
            self._polls.begin_time(self._live(event.leases), now)
        elif isinstance(event, events.Undelivered):
            self._undelivered(event, now)
        elif isinstance(event, events.Unmade):
            self._unmade(event, now)
        else:
            self._shortened(event, now)

    def _undelivered(self, event: events.Undelivered, now: int) -> None:
        """Undone once every sending of the answer is known to have failed: of one that was asked
        for again any other may have been heard."""
        for lease in self._not_sent(event.caller, event.leases):
            if not lease.answer.sent_to:
                self._polls.not_sent(lease)
                self._expiry.undo(lease, now)

    def _unmade(self, event: events.Unmade, now: int) -> None:
        """The poll waits once more, or is told that it has been replaced meanwhile."""
        buried = 0
        unanswered = set()
        caller = event.answer.caller
        for lease in self._not_sent(caller, event.answer.lease_ids):
            # Not of what was asked for again meanwhile: the repeat tells what becomes of it.
            if lease.answer.caller != caller:
                continue
            if self._polls.not_sent(lease):
                unanswered.add(lease.session)
            if event.damaged is not None:
                buried += self._expiry.bury_damaged(lease, *event.damaged, now)
            self._expiry.undo(lease, now)
        if event.damaged is not None:
            first, last = event.damaged
            fields = {"group": event.group, "first": first, "last": last, "messages": buried}
            self._parts.out.append(Note("damaged", fields))
        if not unanswered:
            self._polls.answer_replaced(event.answer)
        for session in unanswered:
            self._polls.ask_again(session, now)

    def _shortened(self, event: events.Shortened, now: int) -> None:
        for lease in self._live((event.lease,)):
            kept = lease.spans[: event.kept] or list(lease.records)[: event.kept]
            self._polls.shortened(lease.session, event.lease, event.kept)
            self._expiry.give_back_rest(lease, RangeSet((one.first, one.last) for one in kept), now)

    def _not_sent(self, caller: Caller, ids: Sequence[bytes]) -> list[Lease]:
        leases = self._live(ids)
        for answer in {lease.answer for lease in leases}:
            answer.is_not_sent(caller)
        return leases

    def _live(self, ids: Sequence[bytes]) -> list[Lease]:
        live = self._parts.leases.live
        return [live[one] for one in ids if one in live]
