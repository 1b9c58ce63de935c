"""All groups: how they are made, found and deleted.

Owns the names and numbers of groups, and where a new one starts. Must never know what a group
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from laybyd.core.effects import FindTime, Refuse
from laybyd.core.events import Extend, Goodbye, Operate, Poll, Settle
from laybyd.core.group import Group, Shared
from laybyd.core.trim import Trimmer
from laybyd.core.types import Caller, GroupRecord, GroupState

Overrides = Mapping[str, int | tuple[int, ...]]
Request = Poll | Settle | Extend | Goodbye | Operate


class Plan(NamedTuple):
    """A group to be made. `start` is "earliest", "latest" or a position; `start_us` a time."""

    caller: Caller
    name: str
    topics: tuple[str, ...]
    start: str | int | None
    start_us: int | None
    overrides: Overrides


class Groups:
    """`held_up` are requests for groups whose start is being looked up."""

    def __init__(self, shared: Shared, trimmer: Trimmer, next_gid: int) -> None:
        self._shared = shared
        self._trimmer = trimmer
        self._next_gid = next_gid
        self._by_name: dict[str, Group] = {}
        self._by_gid: dict[int, Group] = {}
        self._plans: dict[str, Plan] = {}
        self.held_up: dict[str, list[Request]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Group | None:
        return self._by_name.get(name)

    def numbered(self, gid: int) -> Group | None:
        return self._by_gid.get(gid)

    def is_planned(self, name: str) -> bool:
        """It is about to be made."""
        return name in self._plans

    def page(self, after: str, limit: int) -> tuple[list[Group], bool]:
        names = sorted(name for name in self._by_name if name > after)
        return [self._by_name[name] for name in names[:limit]], len(names) > limit

    def restore(self, states: Sequence[GroupState], log_end: int, now: int) -> None:
        for state in states:
            self._keep(Group(self._shared, state, log_end, now, is_new=False))

    def _keep(self, group: Group) -> None:
        self._by_name[group.record.name] = group
        self._by_gid[group.record.gid] = group
        for topic in self._shared.topics:
            topic.groups += group.matches(topic.name)

    def recount(self) -> None:
        """A subscription has changed: how many groups read each topic."""
        for topic in self._shared.topics:
            topic.groups = sum(group.matches(topic.name) for group in self)

    def readers_of(self, topic: str) -> int:
        return sum(group.matches(topic) for group in self)

    # ---- making ---------------------------------------------------------------------------------

    def plan(
        self, plan: Plan, event: Request, earliest: int, log_end: int, now: int
    ) -> Group | None:
        """Make the group; or, where its start must be looked up or it may not be, None."""
        if self._closed:
            self._refuse_stopping(plan.caller)
            return None
        if len(self._by_name) + len(self._plans) >= self._shared.core.groups_max:
            text = f"there are {len(self._by_name)} groups; that is all"
            self._shared.out.append(Refuse(plan.caller, "over_limit", text))
            return None
        if plan.start_us is not None:
            self._plans[plan.name] = plan
            self.held_up[plan.name] = [event]
            self._shared.out.append(FindTime(("group", plan.name), plan.start_us))
            return None
        if plan.start == "latest":
            return self.make(plan, log_end, log_end, now)
        start = plan.start if isinstance(plan.start, int) else 0
        # Beyond the log's end there is nothing to begin at yet: a position is of what is stored.
        return self.make(plan, min(max(start, earliest), log_end), log_end, now)

    def time_found(
        self, name: str, position: int, earliest: int, log_end: int, now: int
    ) -> list[Request]:
        """The start is known: make the group; gives the requests that waited for it."""
        plan = self._plans.pop(name, None)
        if plan is None:
            return []
        self.make(plan, max(position, earliest), log_end, now)
        return self.held_up.pop(name)

    def close(self) -> None:
        """The broker stops: no group is made any more, and nobody waits for one."""
        self._closed = True
        self._plans.clear()
        for requests in self.held_up.values():
            for request in requests:
                self._refuse_stopping(request.caller)
        self.held_up.clear()

    def _refuse_stopping(self, caller: Caller) -> None:
        text, retry_ms = "the broker is stopping; try again later", self._shared.core.full_retry_ms
        self._shared.out.append(Refuse(caller, "quiescing", text, retry_ms))

    def make(self, plan: Plan, start: int, log_end: int, now: int) -> Group:
        record = GroupRecord(
            self._next_gid, plan.name, plan.topics, start, now, tuple(plan.overrides.items())
        )
        self._next_gid += 1
        state = GroupState(record, start, (), (), 0, 0, 0, 0)
        group = Group(self._shared, state, log_end, now, is_new=True)
        self._keep(group)
        self._trimmer.wait_for(self._shared.commits.last)
        return group

    def delete(self, group: Group, now: int) -> int:
        """Gives the batch with which it is gone."""
        del self._by_name[group.record.name]
        del self._by_gid[group.record.gid]
        for topic in self._shared.topics:
            topic.groups -= group.matches(topic.name)
        batch = group.delete(now)
        self._trimmer.wait_for(self._shared.commits.last)
        return batch
