"""The answer to any request, as users see it. Owns the shape only."""

from __future__ import annotations

from typing import Any

from layby._block import Block, BlockError
from layby._fields import number
from layby._wire import Answer
from layby.errors import Damaged

__all__ = ["Block", "Response"]

ENVELOPE = ("ok", "id", "boot")


class Response(dict[str, Any]):
    """The answer's own fields; `boot`; and the `blocks` that came with it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(
            {name: value for name, value in answer.fields.items() if name not in ENVELOPE}
        )
        self.boot = number(answer.fields, "boot", 0)
        try:
            self.blocks = [Block(block) for block in answer.blocks]
        except BlockError as error:
            raise Damaged(f"a block of an answer: {error}") from error
