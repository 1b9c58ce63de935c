"""The closed list of refusal codes.

Owns what each code means, whose fault it is, and what a client does about it. Must never know
who refuses. `clients/protocol/codes.json` holds the same for other languages; a test compares.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """`fault`: "yours" (the request is wrong) or "ours" (the broker cannot now)."""

    code: str
    fault: str
    retryable: bool
    means: str
    advice: str


CODES = {
    code.code: code
    for code in (
        Code(
            "bad_request",
            "yours",
            False,
            "The request is not one: no msgpack map, a field missing, of the wrong type or out of "
            "bounds.",
            "Correct the client; the text names the field.",
        ),
        Code(
            "unknown_op",
            "yours",
            False,
            "The broker does not know this operation.",
            "Check the spelling of op; a newer client must do without.",
        ),
        Code(
            "too_large",
            "yours",
            False,
            "A map, message or block exceeds a limit.",
            "Split it; hello tells the limits.",
        ),
        Code(
            "bad_name",
            "yours",
            False,
            "A name of a topic, group or consumer is not allowed.",
            "Use 1 to 200 of A-Z a-z 0-9 . _ - and do not begin with layby.",
        ),
        Code(
            "bad_block",
            "yours",
            False,
            "The block frame is not a block: sizes, flags, lengths or CRC are wrong.",
            "Correct the encoder; vectors/blocks.json shows good ones. Nothing of it was stored.",
        ),
        Code(
            "conflict",
            "yours",
            False,
            "Something else already has this number or name: a push with this seq had other bytes, "
            "or the group exists with other settings.",
            "Never reuse a seq: go on under a new producer id.",
        ),
        Code(
            "seq_gap",
            "yours",
            True,
            "A push before this one is missing.",
            "Send again from expected, in order; if expected was confirmed before, take a new "
            "producer id.",
        ),
        Code(
            "busy",
            "ours",
            True,
            "Too much is under way.",
            "Wait retry_ms, then send again; with seq, from expected on.",
        ),
        Code(
            "store_full",
            "ours",
            True,
            "The store has no room for new messages. Settles are still taken.",
            "Keep the messages and try again after retry_ms; tell an operator: the text names what "
            "pins the log.",
        ),
        Code(
            "quiescing",
            "ours",
            True,
            "The broker is stopping. Settles are still taken.",
            "Settle what you hold; try again after retry_ms.",
        ),
        Code(
            "unknown_topic",
            "yours",
            False,
            "There is no such topic.",
            "Check the name; a topic is made by its first push.",
        ),
        Code(
            "unknown_group",
            "yours",
            False,
            "There is no such group.",
            "Check the name; a group is made by its first poll, with topics.",
        ),
        Code(
            "subscription_differs",
            "yours",
            False,
            "The group exists and reads other topics than this request names.",
            "Leave topics out, name exactly the group's, or change them with group_set.",
        ),
        Code(
            "lease_lost",
            "yours",
            False,
            "The lease had ended and the message is held by another consumer or settled.",
            "Drop the outcome and count it; if it happens often, report progress or take a longer "
            "lease.",
        ),
        Code(
            "lease_unknown",
            "yours",
            False,
            "No such lease was issued to this group.",
            "Send the lease's bytes as received, to the broker and group they came from.",
        ),
        Code(
            "over_limit",
            "yours",
            False,
            "A bound of the broker is reached: groups, sessions, leases or bytes.",
            "Free something or ask the operator to raise the bound the text names.",
        ),
        Code(
            "not_allowed",
            "yours",
            False,
            "This connection may not do that.",
            "Ask the operator for the right.",
        ),
        Code(
            "damaged",
            "ours",
            False,
            "The bytes asked for are damaged on the broker's disk.",
            "Tell an operator; other messages are not affected.",
        ),
        Code(
            "internal",
            "ours",
            True,
            "The broker failed in a way it should not.",
            "Try again after retry_ms; the outcome is that of a refusal: nothing was done.",
        ),
    )
}
