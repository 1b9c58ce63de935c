"""Telling users of outcomes that do not count. Owns the one line and the calls; pure otherwise."""

from __future__ import annotations

import logging

from layby._desk import Desk
from layby._lease import Run
from layby._options import OnLost
from layby._settling import Lost
from layby.message import Message

log = logging.getLogger("layby")


def tell_lost(lost: list[Lost], group: str, on_lost: OnLost | None, desk: Desk) -> None:
    """Outcomes that do not count: one line, and a call for each."""
    first = lost[0]
    where = f"{first.lease.topic}, from position {first.lease.position(first.place)} on"
    log.warning("%d outcomes of group %s: %s (%s)", len(lost), group, first.code, where)
    if on_lost is None:
        return
    for lease, place, code in lost:
        on_lost(Message(desk, Run(lease, place, place + 1, 0.0), place), code)
