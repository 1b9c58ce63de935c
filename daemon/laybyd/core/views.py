"""What operators see: groups, topics and parked records as plain values.

Owns the fields of level 3 answers. Must never change anything.
"""

from __future__ import annotations

from laybyd.core.group import Group
from laybyd.core.topics import Topic
from laybyd.core.types import Parked

Fields = dict[str, object]


def of_topic(topic: Topic) -> Fields:
    return {
        "name": topic.name,
        "first": topic.first,
        "last": topic.last,
        "messages": topic.messages,
        "bytes": topic.size,
        "last_us": topic.last_us,
        "groups": topic.groups,
    }


def of_group(group: Group) -> Fields:
    parts = group.parts
    live = parts.live
    return {
        "name": group.record.name,
        "topics": list(group.record.topics),
        "floor": parts.floor.position,
        "waiting": live.ready + max(0, live.log_end - live.window_end),
        "out": parts.leases.out,
        "deferred": parts.account.deferred,
        "dead": parts.account.dead,
        "sessions": len(parts.sessions),
        "handlers": parts.sessions.handlers,
    }


def of_group_in_full(group: Group) -> Fields:
    return {
        **of_group(group),
        "start": group.record.start,
        "made_us": group.record.made_us,
        "settings": group.parts.settings._asdict(),
        "sessions_list": [
            {
                "session": session.id,
                "name": session.name,
                "handlers": session.handlers,
                "idle": session.idle,
                "leases": len(session.leases),
                "out": sum(lease.left for lease in session.leases.values()),
            }
            for session in group.parts.sessions.by_key.values()
        ],
    }


def of_parked(record: Parked) -> Fields:
    return {
        "from": record.first,
        "to": record.last,
        "topic": record.topic,
        "attempts": record.attempts,
        "due_us": record.due_us,
        "bytes": record.size,
        "alone": record.alone,
        "generation": record.generation,
        "history": [
            {
                "at_us": line.at_us,
                "reason": line.reason,
                "consumer": line.consumer,
                "counted": line.counted,
            }
            for line in record.history
        ],
    }
