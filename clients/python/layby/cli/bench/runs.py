"""The five measurements: what one run of each is.

Owns how clients are put together. Must never know options or reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from layby.cli.bench import roles
from layby.cli.bench.crew import Crew, take
from layby.cli.bench.fanin import fan_in
from layby.cli.bench.figures import Measured
from layby.cli.bench.roles import Plan, Pushed
from layby.cli.trouble import Trouble

if TYPE_CHECKING:
    from layby import Client

FILL = 500_000
PLAIN_PART = 5


def plain_group(topic: str) -> str:
    return f"{topic}.plain"


def push(client: Client, plan: Plan) -> Measured:
    return _measured(roles.push_many(client, plan))


def sync(client: Client, plan: Plan) -> Measured:
    return _measured(roles.push_one_by_one(client, plan))


def _measured(pushed: Pushed) -> Measured:
    return Measured(pushed.messages, pushed.ended - pushed.begun, pushed.times)


def consume(client: Client, plan: Plan) -> Measured:
    """A topic is filled first; a second group then reads part of it by the plain loop."""
    filled = roles.push_many(client, plan._replace(messages=plan.messages or FILL)).messages
    batches = roles.consume_batches(client, plan, filled)
    other = plan._replace(group=plain_group(plan.topic))
    plain = roles.consume_plain(client, other, max(1, filled // PLAIN_PART))
    return batches._replace(extra={"plain_messages_per_s": plain.messages / plain.seconds})


def e2e(plan: Plan, threads: bool = False) -> Measured:
    """One producer and one consumer, each in a process of its own; from the first push to the
    last settle."""
    with Crew(threads) as crew:
        consumer = crew.start(roles.consuming, plan)
        take(consumer)
        producer = crew.start(roles.producing, plan)
        take(producer)
        pushed: Pushed = take(producer)
        taken, ended, times = take(consumer)
    if taken != pushed.messages:
        text = f"{pushed.messages} messages were pushed, {taken} consumed"
        raise Trouble("account_wrong", text, hint="A measurement that loses messages is none.")
    return Measured(taken, ended - pushed.begun, times)


RUNS: Mapping[str, Callable[[Client, Plan], Measured]] = {
    "push": push,
    "sync": sync,
    "consume": consume,
    "fan-in": lambda client, plan: fan_in(plan),
}
