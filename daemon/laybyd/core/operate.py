"""What operators ask for: looking, making and deleting groups, retrying and dropping.

Owns the verbs of level 3. Must never know how a request was authorised or how an answer looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import laybyd
from laybyd.core import views
from laybyd.core.effects import Commit, Effect, FindParked, ForgetTopic, Refuse, Reply
from laybyd.core.events import Operate
from laybyd.core.group import Group
from laybyd.core.groups import Groups, Plan
from laybyd.core.intervals import Range, RangeSet
from laybyd.core.journal import Owner
from laybyd.core.parts import Finder
from laybyd.core.rules import News, cut
from laybyd.core.settings import GroupSettings
from laybyd.core.tokens import Tokens
from laybyd.core.topics import Topics
from laybyd.core.trim import Trimmer
from laybyd.core.types import DEFERRED, Caller, Parked, Row

PAGE = 100
PAGE_MAX = 1_000
BODIES_MAX = 16
FOUND_AT_ONCE = 1_000
FORGOTTEN_MAX = 10_000
"""So many deleted topics of which something may still lie somewhere."""

KNOWN_SETTINGS = frozenset(GroupSettings._fields)


class World(NamedTuple):
    """What the verbs work on."""

    groups: Groups
    topics: Topics
    trimmer: Trimmer
    commits: Tokens[Owner]
    finds: Tokens[tuple[int, Finder]]
    out: list[Effect]
    positions: Callable[[], tuple[int, int]]
    touch: Callable[[Group], None]
    is_quiescing: Callable[[], bool]
    started_us: int


class _Answered:
    """Sends a reply, if there is one, when a commit of no group is durable."""

    def __init__(self, out: list[Effect], *reply: Reply) -> None:
        self._out = out
        self._reply = reply

    def committed(self) -> None:
        self._out.extend(self._reply)


class Operator:
    def __init__(self, world: World) -> None:
        self._world = world
        self._verbs: dict[str, Callable[[Operate, Any, int], None]] = {
            "status": self._status,
            "topics": self._list_topics,
            "topic_delete": self._delete_topic,
            "groups": self._list_groups,
            "group": self._show_group,
            "group_create": self._create_group,
            "group_set": self._set_group,
            "group_delete": self._delete_group,
            "parked": self._list_parked,
            "retry": self._change_parked,
            "drop": self._change_parked,
        }

    def operate(self, event: Operate, now: int) -> None:
        verb = self._verbs.get(event.verb)
        if verb is None:
            self._refuse(event.caller, "unknown_op", f"no such operation: {event.verb}")
        else:
            verb(event, event.args, now)

    def _reply(self, caller: Caller, fields: Mapping[str, object]) -> None:
        self._world.out.append(Reply(caller, fields))

    def _refuse(self, caller: Caller, code: str, text: str) -> None:
        self._world.out.append(Refuse(caller, code, text))

    def _group(self, event: Operate) -> Group | None:
        group = self._world.groups.get(str(event.args["group"]))
        if group is None:
            _refuse_gone(self._world, event)
        return group

    # ---- looking --------------------------------------------------------------------------------

    def _status(self, event: Operate, args: Any, now: int) -> None:
        world = self._world
        groups = [group.parts for group in world.groups]
        fields = {
            "state": "quiescing" if world.is_quiescing() else "serving",
            "version": laybyd.__version__,
            "uptime_ms": (now - world.started_us) // 1_000,
            "topics": len(world.topics),
            "groups": len(groups),
            "sessions": sum(len(parts.sessions) for parts in groups),
            "deferred": sum(parts.account.deferred for parts in groups),
            "dead": sum(parts.account.dead for parts in groups),
            "pins": world.trimmer.pins,
        }
        self._reply(event.caller, fields)

    def _list_topics(self, event: Operate, args: Any, now: int) -> None:
        page, more = self._world.topics.page(args.get("after", ""), args.get("limit", PAGE))
        found = [views.of_topic(topic) for topic in page]
        self._reply(event.caller, {"topics": found, "more": more})

    def _list_groups(self, event: Operate, args: Any, now: int) -> None:
        page, more = self._world.groups.page(args.get("after", ""), args.get("limit", PAGE))
        found = [views.of_group(group) for group in page]
        self._reply(event.caller, {"groups": found, "more": more})

    def _show_group(self, event: Operate, args: Any, now: int) -> None:
        group = self._group(event)
        if group is not None:
            self._reply(event.caller, views.of_group_in_full(group))

    # ---- topics ---------------------------------------------------------------------------------

    def _delete_topic(self, event: Operate, args: Any, now: int) -> None:
        """Its messages up to now are gone for everybody; a later push makes it anew."""
        world, name = self._world, args["topic"]
        if world.topics.get(name) is None:
            self._refuse(event.caller, "unknown_topic", f"there is no topic {name}")
            return
        if len(world.topics.forgotten) >= FORGOTTEN_MAX:
            text = f"{FORGOTTEN_MAX} deleted topics are not forgotten yet: the log still holds some"
            text += " of them, or a group has deferred or dead messages; drain or drop those"
            self._refuse(event.caller, "over_limit", text)
            return
        _, log_end = world.positions()
        world.topics.forget(name, log_end)
        token = world.commits.take(_Answered(world.out, Reply(event.caller, {})))
        world.out.append(Commit(token, (ForgetTopic(name, log_end),)))
        for group in world.groups:
            # What is deferred stays a group's that does not read its topic any more.
            if group.matches(name) or group.parts.account.deferred:
                group.forget(now)
                world.touch(group)
        world.trimmer.wait_for(token)

    def trimmed(self, start: int) -> None:
        """Marks of deleted topics that keep nothing from anybody go. What is parked may be theirs,
        on the disk as well; so they stay while there is any, and until its end is durable."""
        world = self._world
        accounts = [group.parts.account for group in world.groups]
        if not world.topics.forgotten or any(one.deferred or one.dead for one in accounts):
            return
        done = world.topics.remember(start)
        if done:
            for group in world.groups:
                group.parts.journal.flush()
            token = world.commits.take(_Answered(world.out))
            world.out.append(Commit(token, tuple(ForgetTopic(name, 0) for name in done)))

    # ---- groups ---------------------------------------------------------------------------------

    def _create_group(self, event: Operate, args: Any, now: int) -> None:
        """Making it again, the same, is no fault."""
        world = self._world
        overrides = args.get("settings", {})
        if not self._settings_are_known(event.caller, overrides):
            return
        known = world.groups.get(args["group"])
        if known is not None:
            self._create_again(event, args, known)
            return
        if world.groups.is_planned(args["group"]):
            world.groups.held_up[args["group"]].append(event)
            return
        start, start_us = args.get("start"), args.get("start_us")
        topics = tuple(args["topics"])
        plan = Plan(event.caller, args["group"], topics, start, start_us, overrides)
        made = world.groups.plan(plan, event, *world.positions(), now)
        if made is not None:
            self._reply_after(event.caller, made, made.parts.journal.barrier())

    def _create_again(self, event: Operate, args: Any, known: Group) -> None:
        differs = self._difference(known, args)
        if differs:
            text = f"group {known.record.name} exists, and {differs}"
            self._refuse(event.caller, "conflict", text)
        else:
            self._reply_after(event.caller, known, known.parts.journal.barrier())

    def _difference(self, known: Group, args: Any) -> str:
        """What is asked for and is not so, with the verb that changes it. Other starts than a
        position are of the moment of the making: nothing tells them from this one."""
        record, start = known.record, args.get("start")
        if set(args["topics"]) != set(record.topics):
            topics = " ".join(record.topics)
            return f"reads {topics}; change it: layby groups set {record.name} --topics ..."
        settings = known.parts.settings._asdict()
        if any(settings[key] != value for key, value in args.get("settings", {}).items()):
            return f"has other settings; change them: layby groups set {record.name} ..."
        earliest, _ = self._world.positions()
        moved_up = isinstance(start, int) and start < record.start <= earliest
        if isinstance(start, int) and start != record.start and not moved_up:
            return f"starts at {record.start}; make it anew: layby groups delete {record.name}"
        return ""

    def _settings_are_known(self, caller: Caller, overrides: Mapping[str, object]) -> bool:
        unknown = sorted(overrides.keys() - KNOWN_SETTINGS)
        if unknown:
            self._refuse(caller, "bad_request", f"settings: no such setting: {unknown[0]}")
        return not unknown

    def _reply_after(self, caller: Caller, group: Group, batch: int) -> None:
        group.parts.journal.after(batch, Reply(caller, {}))
        self._world.touch(group)

    def _set_group(self, event: Operate, args: Any, now: int) -> None:
        group = self._group(event)
        overrides = args.get("settings", {})
        if group is None or not self._settings_are_known(event.caller, overrides):
            return
        record = group.record
        topics = tuple(args.get("topics", record.topics))
        merged = {**dict(record.overrides), **overrides}
        batch = group.change(record._replace(topics=topics, overrides=tuple(merged.items())), now)
        self._world.groups.recount()
        self._reply_after(event.caller, group, batch)
        self._world.trimmer.wait_for(self._world.commits.last)

    def _delete_group(self, event: Operate, args: Any, now: int) -> None:
        group = self._group(event)
        if group is None:
            return
        batch = self._world.groups.delete(group, now)
        group.parts.journal.after(batch, Reply(event.caller, {}))

    # ---- parked messages ------------------------------------------------------------------------

    def _list_parked(self, event: Operate, args: Any, now: int) -> None:
        group = self._group(event)
        if group is None:
            return
        limit = min(args.get("limit", PAGE), BODIES_MAX if args.get("bodies") else PAGE_MAX)
        listing = _Listing(self._world, event, bool(args.get("bodies")))
        group.parts.journal.flush()
        token = self._world.finds.take((group.record.gid, listing))
        gid, ranges = group.record.gid, tuple(args.get("ranges", ()))
        after = args.get("after", 0)
        find = FindParked(token, gid, args["lane"], ranges, after, limit)
        self._world.out.append(find)
        self._world.touch(group)

    def _change_parked(self, event: Operate, args: Any, now: int) -> None:
        group = self._group(event)
        if group is not None:
            _Change(self._world, event, group).look_up(tuple(args["ranges"]))
            self._world.touch(group)


class _Listing:
    """Answers `parked` with what is found."""

    def __init__(self, world: World, event: Operate, bodies: bool) -> None:
        self._world = world
        self._event = event
        self._bodies = bodies

    def parked_found(self, token: int, records: Sequence[Parked], more: bool, now: int) -> None:
        lane = str(self._event.args["lane"])
        fields = {"parked": [views.of_parked(record) for record in records], "more": more}
        blocks = tuple((record.gid, lane, record) for record in records) if self._bodies else ()
        self._world.out.append(Reply(self._event.caller, fields, blocks))

    def rows_found(self, token: int, rows: Sequence[Row], upto: int, now: int) -> None:
        raise AssertionError("a listing asks for no rows")

    def abandon(self) -> None:
        _refuse_gone(self._world, self._event)


class _Change:
    """A retry or a drop: looks records up, page by page, and changes what it finds.

    What is being handled now, and what changed while it was looked up, counts as missing: asking
    again tells what has become of it."""

    def __init__(self, world: World, event: Operate, group: Group) -> None:
        self._world = world
        self._event = event
        self._group = group
        self._lane = str(event.args["lane"])
        self._done = 0
        self._missing = RangeSet()
        self._changed = RangeSet()

    def look_up(self, ranges: tuple[Range, ...]) -> None:
        parts = self._group.parts
        parts.journal.flush()
        token = self._world.finds.take((self._group.record.gid, self))
        self._changed = RangeSet()
        self._ranges = ranges
        parts.parking.watchers[token] = self._changed.add
        gid = self._group.record.gid
        find = FindParked(token, gid, self._lane, ranges, limit=FOUND_AT_ONCE)
        self._world.out.append(find)

    def parked_found(self, token: int, records: Sequence[Parked], more: bool, now: int) -> None:
        del self._group.parts.parking.watchers[token]
        rest = RangeSet(self._ranges)
        end = records[-1].last if more else 1 << 53
        for record in records:
            chosen = rest.overlap(record.first, record.last)
            rest.remove(record.first, record.last)
            self._one(record, chosen, now)
        for first, last in list(rest):
            for missing in RangeSet([(first, last)]).overlap(0, end):
                self._missing.add(*missing)
                rest.remove(*missing)
        if rest:
            self.look_up(tuple(rest))
        else:
            self._answer()

    def rows_found(self, token: int, rows: Sequence[Row], upto: int, now: int) -> None:
        raise AssertionError("a change asks for no rows")

    def abandon(self) -> None:
        _refuse_gone(self._world, self._event)

    def _one(self, record: Parked, chosen: Sequence[Range], now: int) -> None:
        parts = self._group.parts
        is_out = self._lane == DEFERRED and parts.deferred.out.overlap(record.first, record.last)
        if is_out or self._changed.overlap(record.first, record.last):
            for part in chosen:
                self._missing.add(*part)
            return
        news: News = []
        if self._event.verb == "retry":
            for part in chosen:
                news += parts.rules.retried(cut(record, *part), self._lane, now)
        gaps = RangeSet(chosen).gaps(record.first, record.last)
        news += [(self._lane, cut(record, *gap)) for gap in gaps]
        parts.parking.replace(self._lane, record, news, (), now)
        self._done += sum(last - first + 1 for first, last in chosen)

    def _answer(self) -> None:
        fields = {"done": self._done, "missing": list(self._missing)}
        journal = self._group.parts.journal
        journal.after(journal.barrier(), Reply(self._event.caller, fields))


def _refuse_gone(world: World, event: Operate) -> None:
    text = f"there is no group {event.args['group']}"
    world.out.append(Refuse(event.caller, "unknown_group", text))
