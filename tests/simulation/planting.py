"""How a bug is planted at run time, and by which name it is known.

Owns the list of them. Knows nothing of what they break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Plant = Callable[[ExitStack], None]
MUTANTS: dict[str, Plant] = {}


def mutant(plant: Plant) -> Plant:
    MUTANTS[plant.__name__] = plant
    return plant


@contextmanager
def planted(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        MUTANTS[name](stack)
        yield


def swap(stack: ExitStack, owner: Any, name: str, new: Any) -> Any:
    """Put `new` in place; gives what was there."""
    old = getattr(owner, name)
    stack.enter_context(patch.object(owner, name, new))
    return old
