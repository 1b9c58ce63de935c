"""What ends the daemon, and the exit code that says so to systemd and to scripts.

Owns the exit codes and the tree below. Must never know how a failure was noticed. Refusals to
clients are no errors: they are effects with a code (`clients/protocol/codes.json`).

    DaemonError
    ├── ConfigError      78  the settings are wrong, all problems at once
    ├── StoreDamaged     65  what is stored is not what was written
    ├── StoreInUse       75  another daemon holds the store
    ├── AddressInUse     69  a listen address is taken
    ├── NoRight          77  the store or the address may not be used
    ├── CommitFailed     74  the disk refused a commit for another reason than being full
    └── Bug              70  a rule of ours was broken
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Exit(IntEnum):
    """Named after sysexits.h, so that they mean the same to whoever reads a unit's status."""

    OK = 0
    DAMAGED = 65
    ADDRESS_IN_USE = 69
    BUG = 70
    COMMIT_FAILED = 74
    STORE_IN_USE = 75
    NO_RIGHT = 77
    CONFIG = 78


class DaemonError(Exception):
    """Ends the daemon with `exit`; reads as its sentence and what is known of the case."""

    exit: ClassVar[Exit]
    sentence: ClassVar[str]

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.sentence}: {self.detail}" if self.detail else self.sentence


class ConfigError(DaemonError):
    """Holds every problem found, each with the place where it was written."""

    exit = Exit.CONFIG
    sentence = "the configuration is wrong"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StoreDamaged(DaemonError):
    """Nothing is skipped or guessed: `layby store check` says more, a backup brings it back."""

    exit = Exit.DAMAGED
    sentence = "the store is damaged"


class StoreInUse(DaemonError):
    exit = Exit.STORE_IN_USE
    sentence = "the store is in use by another process"


class AddressInUse(DaemonError):
    exit = Exit.ADDRESS_IN_USE
    sentence = "the address is in use"


class NoRight(DaemonError):
    exit = Exit.NO_RIGHT
    sentence = "there is no right to use this"


class CommitFailed(DaemonError):
    """Whether the last writes are on the disk is unknown; the next start finds out."""

    exit = Exit.COMMIT_FAILED
    sentence = "a commit failed"


class Bug(DaemonError):
    exit = Exit.BUG
    sentence = (
        "layby broke a rule of its own (what was confirmed is safe: start it again, and please "
        "report this)"
    )
