"""What a group is made of, so that each rule can be a file of its own.

Owns nothing but the list. Must never know a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from laybyd.core.account import Account
from laybyd.core.deadlines import Deadlines
from laybyd.core.deferred import Deferred
from laybyd.core.effects import Effect
from laybyd.core.floor import Floor
from laybyd.core.journal import Journal
from laybyd.core.leases import Leases
from laybyd.core.live import Live
from laybyd.core.load import Load
from laybyd.core.parking import Parking
from laybyd.core.rules import Rules
from laybyd.core.sessions import Sessions
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.core.tokens import Tokens
from laybyd.core.types import GroupRecord, Parked, Row

Timer = tuple[str, object]


class Finder(Protocol):
    """Whoever asked for parked records (or rows) of a group, which the token's owner names."""

    def parked_found(self, token: int, records: Sequence[Parked], more: bool, now: int) -> None: ...

    def rows_found(self, token: int, rows: Sequence[Row], upto: int, now: int) -> None: ...

    def abandon(self) -> None:
        """The group is gone."""


@dataclass(slots=True, kw_only=True)
class Parts:
    record: GroupRecord
    boot: int
    core: CoreSettings
    floor: Floor
    account: Account
    journal: Journal
    live: Live
    deferred: Deferred
    parking: Parking
    rules: Rules
    sessions: Sessions
    leases: Leases
    load: Load
    timers: Deadlines[Timer]
    finds: Tokens[tuple[int, Finder]]
    out: list[Effect]

    @property
    def settings(self) -> GroupSettings:
        return self.rules.group
