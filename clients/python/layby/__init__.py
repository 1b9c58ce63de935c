"""layby: the client library. `layby.connect` is where to begin; `layby.aio` has the same names."""

from layby._hello import library_version
from layby.answer import Block, Response
from layby.batch import Batch
from layby.client import Client, connect
from layby.consumer import Consumer
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
from layby.producer import Producer
from layby.reader import Reader

__version__ = library_version()

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
    "__version__",
    "connect",
]
