"""What can go wrong, as one tree. Owns the exceptions; must never know sockets or sessions.

    LaybyError                    everything below
    ├── Unreachable               nobody answers at the endpoint
    ├── TimedOut                  a question that changes nothing got no answer in time
    ├── OutcomeUnknown            a request got no answer: it may or may not have been done
    ├── PushFailed                some blocks of a producer were not confirmed (`.failed`)
    ├── AlreadySettled            a message was given a second, different outcome
    ├── Closed                    the client, producer or consumer is closed
    ├── Forked                    a client was used in a forked child
    ├── Damaged                   an answer of the broker makes no sense
    └── Refused                   the broker said no; one subclass per code
        ├── BadRequest UnknownOp TooLarge BadName BadBlock Conflict NotAllowed OverLimit
        ├── UnknownTopic UnknownGroup SubscriptionDiffers
        ├── SequenceGap Busy StoreFull Quiescing
        └── LeaseLost LeaseUnknown DamagedBlock Internal

Each has a `code` (a stable word), `retryable` (the same call may succeed later) and a `hint`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from layby._sequence import Push
    from layby._sequence import Sequence as PushSequence


RETRY_S = 0.1
"""Before the same is sent again, when the broker names no time."""

RETRY_MS_MAX = 60_000
"""No broker is waited for longer than this before it is asked again."""


class LaybyError(Exception):
    """The root of everything this library raises on purpose."""

    code: str = "error"
    retryable: bool = False
    hint: str = ""

    def __init__(self, text: str = "") -> None:
        super().__init__(text or type(self).__doc__ or "")


class Unreachable(LaybyError):
    """Nobody answers at the endpoint."""

    code = "unreachable"
    retryable = True
    hint = "Is laybyd running there? `layby --url ENDPOINT status --wait 30s` waits for it."


class TimedOut(LaybyError):
    """No answer came in time; the request changes nothing, so it can be repeated."""

    code = "timed_out"
    retryable = True
    hint = "Repeat it, with a longer timeout if the broker is busy."


class OutcomeUnknown(LaybyError):
    """No answer came in time: it may have been done, or not."""

    code = "outcome_unknown"
    retryable = True
    hint = "client.push_again(error) resends a push under its old number, so it is stored once."
    hint_else = "Look whether it was done; done twice, it would also be done to what came since."

    def __init__(
        self, text: str = "", *, sequence: PushSequence | None = None, push: Push | None = None
    ) -> None:
        super().__init__(text)
        if push is None:
            self.hint = self.hint_else
        self._sequence = sequence
        self._push = push


class FailedBlock:
    """One block that was not confirmed: its topic, its messages and why."""

    __slots__ = ("_push", "error")

    def __init__(self, push: Push, error: LaybyError) -> None:
        self._push = push
        self.error = error

    @property
    def topic(self) -> str:
        return self._push.topic

    @property
    def messages(self) -> list[bytes]:
        """The bodies, cut out of the block again."""
        return self._push.bodies()

    def __len__(self) -> int:
        return self._push.messages

    def __repr__(self) -> str:
        return f"<FailedBlock {self.topic}: {len(self)} messages, {self.error}>"


class PushFailed(LaybyError):
    """Some blocks of a producer were not confirmed; `.failed` lists them."""

    code = "push_failed"
    hint = "Look at .failed: each block has .topic, .messages and .error."

    def __init__(self, failed: Sequence[FailedBlock]) -> None:
        self.failed = list(failed)
        messages = sum(len(block) for block in self.failed)
        first = self.failed[0].error if self.failed else ""
        super().__init__(f"{messages} messages were not confirmed; the first because: {first}")
        self.retryable = all(block.error.retryable for block in self.failed)


class AlreadySettled(LaybyError):
    """The message already has another outcome."""

    code = "already_settled"
    hint = "The first outcome stands; give each message one."


class Closed(LaybyError):
    """It is closed."""

    code = "closed"


def closed_by(text: str, error: BaseException) -> Closed:
    """It was not closed by its user: what went wrong is the cause."""
    closed = Closed(f"{text}: {error!r}")
    closed.__cause__ = error
    return closed


class Forked(LaybyError):
    """This client belongs to the parent process."""

    code = "forked"
    hint = "Call layby.connect() in the child, after the fork."


class Damaged(LaybyError):
    """The broker's answer or a block in it makes no sense."""

    code = "damaged_answer"
    hint = "Is it a layby broker, and of a version this client knows?"


class Refused(LaybyError):
    """The broker said no."""

    code = "refused"
    kinds: ClassVar[dict[str, type[Refused]]] = {}

    def __init__(self, text: str = "", answer: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        answer = answer or {}
        self.code = str(answer.get("code", self.code))
        self.retryable = bool(answer.get("retryable", self.retryable))
        self.fault = str(answer.get("fault", ""))
        retry_ms = answer.get("retry_ms", 0)
        self.retry_ms = min(max(0, retry_ms), RETRY_MS_MAX) if type(retry_ms) is int else 0
        self.answer = dict(answer)

    @property
    def retry_s(self) -> float:
        """Seconds to wait before the same is sent again, if it may be."""
        return self.retry_ms / 1e3 or RETRY_S

    def __init_subclass__(cls) -> None:
        Refused.kinds[cls.code] = cls


class BadRequest(Refused):
    code = "bad_request"
    hint = "A field is missing, unknown in form or out of range; the text names it."


class UnknownOp(Refused):
    code = "unknown_op"
    hint = "The broker is older than this client."


class TooLarge(Refused):
    code = "too_large"
    hint = "Send less at once; `layby status` and hello name the limits."


class BadName(Refused):
    code = "bad_name"
    hint = "Names are 1 to 200 of A-Z a-z 0-9 . _ - ; patterns may also hold *."


class BadBlock(Refused):
    code = "bad_block"
    hint = "The block was damaged on its way, or built wrongly."


class Conflict(Refused):
    code = "conflict"
    hint = "The same number or name already stands for something else."


class SequenceGap(Refused):
    code = "seq_gap"
    retryable = True
    hint = "An earlier push of this producer was not stored."


class Busy(Refused):
    code = "busy"
    retryable = True
    hint = "The broker has too much waiting; try again after retry_ms."


class StoreFull(Refused):
    code = "store_full"
    retryable = True
    hint = "`layby status` names what pins the log; settling or deleting a group frees it."


class Quiescing(Refused):
    code = "quiescing"
    retryable = True
    hint = "The broker is stopping; try again once it is back."


class UnknownTopic(Refused):
    code = "unknown_topic"
    hint = "`layby topics` lists them."


class UnknownGroup(Refused):
    code = "unknown_group"
    hint = "`layby groups` lists them; the first poll makes one."


class SubscriptionDiffers(Refused):
    code = "subscription_differs"
    hint = "The group reads other topics; `layby groups set` changes them for all its consumers."


class LeaseLost(Refused):
    code = "lease_lost"
    hint = "Another consumer has or settled the message; make handlers shorter or call extend()."


class LeaseUnknown(Refused):
    code = "lease_unknown"
    hint = "The broker never issued this lease."


class OverLimit(Refused):
    code = "over_limit"
    hint = "A limit of the broker is reached; the text names it."


class NotAllowed(Refused):
    code = "not_allowed"
    hint = "This client may not do that."


class DamagedBlock(Refused):
    code = "damaged"
    hint = "The broker's disk returned other bytes than were written; see its log."


class Internal(Refused):
    code = "internal"
    retryable = True
    hint = "A fault of the broker; see its log."


def refused(answer: Mapping[str, object]) -> Refused:
    """The exception for an answer with `ok: false`; unknown codes go by their `retryable`."""
    kind = Refused.kinds.get(str(answer.get("code", "")), Refused)
    return kind(str(answer.get("text", "")) or str(answer.get("code", "")), answer)
