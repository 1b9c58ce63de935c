"""A measurement from the first word to the last: what it does, its runs, their median.

Owns the made-up topics, which are gone at the end whatever happens, and the telling. Must never
know what a run does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from layby.cli import trouble
from layby.cli.app import Setup
from layby.cli.bench import disk, runs
from layby.cli.bench.figures import KEYS, figures, medians
from layby.cli.bench.roles import Plan
from layby.cli.stopping import stopping
from layby.cli.text import duration
from layby.errors import LaybyError, UnknownGroup, UnknownTopic

PREFIX = "layby.bench."
COLUMNS = {
    "messages": "messages",
    "seconds": "seconds",
    "messages_per_s": "messages/s",
    "mb_per_s": "MB/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "plain_messages_per_s": "plain loop/s",
}
WHAT = {
    "push": "one producer (send_many); times from the call to the confirm of a block",
    "sync": "one producer, one push at a time; times from the push to its confirm",
    "consume": "one consumer, every message acked; times from batch to batch",
    "e2e": "a producer and a consumer at once; times from the sending to the ack",
    "fan-in": "{clients} bare sockets, one push under way each; times from push to confirm",
}


def measure(setup: Setup, name: str, words: dict[str, Any]) -> None:
    number, directory = words.pop("runs"), words.pop("disk")
    setup.out.talk(_announcement(setup, name, number, words))
    with stopping(_interrupt):
        found = _measure_disk(setup, directory)
        results = []
        for run in range(1, number + 1):
            results.append(_one_run(setup, name, dict(words)))
            setup.out.talk(f"run {run} of {number}: {results[-1]['messages_per_s']:,} messages/s")
    middle = medians(results)
    record = {"bench": name, "size": words["size"], **middle, **found, "runs": results}
    if setup.out.json:
        setup.out.record(record)
    else:
        _tell(setup, results, middle, found)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _announcement(setup: Setup, name: str, number: int, words: Mapping[str, Any]) -> str:
    length = f"{words['messages']:,} messages" if words["messages"] else duration(words["seconds"])
    if name == "consume" and not words["messages"]:
        length = f"{runs.FILL:,} messages"
    what = WHAT[name].format(clients=words.get("clients", 1))
    return (
        f"{name}: {what}.\n"
        f"Messages of {words['size']} bytes, {number} x {length}, over {setup.url}; "
        "confirmed is on the broker's disk."
    )


def _measure_disk(setup: Setup, directory: Path | None) -> dict[str, float | None]:
    if directory is not None:
        setup.out.talk(f"disk: append and flush in {directory}")
    return disk.measure(directory)


def _one_run(setup: Setup, name: str, words: dict[str, Any]) -> dict[str, float]:
    threads = words.pop("threads", False)
    with setup.connect() as client, _made_up(setup) as topic:
        plan = Plan(url=setup.url, topic=topic, group=topic, **words)
        run = runs.e2e(plan, threads) if name == "e2e" else runs.RUNS[name](client, plan)
    return figures(run, plan.size)


@contextmanager
def _made_up(setup: Setup) -> Iterator[str]:
    """A topic of our own, deleted over another connection: after Ctrl-C the first may be busy."""
    topic = PREFIX + secrets.token_hex(4)
    try:
        yield topic
    finally:
        try:
            _delete(setup, topic)
        except LaybyError as error:
            hint = f"layby topics delete {topic}; layby groups ls '{PREFIX}*'"
            trouble.show("not_deleted", f"{topic}: {error}", hint=hint, as_json=setup.out.json)


def _delete(setup: Setup, topic: str) -> None:
    with setup.connect() as client:
        for group in (topic, runs.plain_group(topic)):
            with suppress(UnknownGroup):
                setup.request(client, "group_delete", group=group)
        with suppress(UnknownTopic):
            setup.request(client, "topic_delete", topic=topic)


def _tell(
    setup: Setup,
    results: list[dict[str, float]],
    middle: Mapping[str, float],
    found: Mapping[str, float | None],
) -> None:
    keys = [key for key in COLUMNS if key in results[0]]
    rows: list[tuple[Any, ...]] = [
        (str(number), *(result[key] for key in keys)) for number, result in enumerate(results, 1)
    ]
    rows.append(("median", *(middle.get(key) for key in keys)))
    setup.out.table(("run", *(COLUMNS[key] for key in keys)), rows)
    if found["disk_64k_mb_per_s"] is not None:
        setup.out.line(
            f"disk: 64 KiB appends {found['disk_64k_mb_per_s']} MB/s, "
            f"4 KiB append and flush p50 {found['disk_4k_p50_ms']} ms"
        )


assert set(KEYS) < set(COLUMNS)
