"""layby for asyncio: the same names as `layby`, on the event loop. No threads."""

from layby.aio.client import Client, connect
from layby.aio.consumer import Consumer
from layby.aio.producer import Producer
from layby.aio.reader import Reader
from layby.answer import Block, Response
from layby.batch import Batch
from layby.errors import (
    AlreadySettled,
    Closed,
    Damaged,
    FailedBlock,
    Forked,
    LaybyError,
    OutcomeUnknown,
    PushFailed,
    Refused,
    TimedOut,
    Unreachable,
)
from layby.message import Failure, Message, Record

__all__ = [
    "AlreadySettled",
    "Batch",
    "Block",
    "Client",
    "Closed",
    "Consumer",
    "Damaged",
    "FailedBlock",
    "Failure",
    "Forked",
    "LaybyError",
    "Message",
    "OutcomeUnknown",
    "Producer",
    "PushFailed",
    "Reader",
    "Record",
    "Refused",
    "Response",
    "TimedOut",
    "Unreachable",
    "connect",
]
