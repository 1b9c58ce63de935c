"""The answer to any request, as users see it. Owns the shape only."""

from __future__ import annotations

from typing import Any

from layby._block import Block
from layby._wire import Answer

__all__ = ["Block", "Response"]

ENVELOPE = ("ok", "id", "boot")


class Response(dict[str, Any]):
    """The answer's own fields; `boot`; and the `blocks` that came with it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(
            {name: value for name, value in answer.fields.items() if name not in ENVELOPE}
        )
        self.boot: int = answer.fields.get("boot", 0)
        self.blocks = [Block(block) for block in answer.blocks]
