"""`layby work`: a command for each message, its exit code the outcome.

Owns the words of the command line and the way `work` ends. Must never know how messages are
fetched (the client library), children run (`process`) or exit codes read (`verdict`).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from layby.cli import trouble, verdict
from layby.cli.app import Setup, Verb
from layby.cli.params import DEFER_DELAY, DELAY, DURATION, WHEN
from layby.cli.process import KILL_AFTER, Ended, Process
from layby.cli.stopping import stopping
from layby.cli.trouble import Misused
from layby.cli.verdict import Rules

if TYPE_CHECKING:
    from layby import Client, Message

COMMAND = "layby.cli.work.command"
AGAIN = 0.2


class WorkVerb(Verb):
    """Everything behind `--` is the command to run, untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


@click.command(cls=WorkVerb, short_help="Run a command for each message.")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option("--group", "-g", required=True, help="The group that shares the work.")
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 1_000), default=1, help="How many runs at a time."
)
@click.option("--timeout", type=DURATION, help="Kill a run after this long; its message fails.")
@click.option("--grace", type=DELAY, default="30s", help="How long SIGTERM waits for runs (30s).")
@click.option(
    "--defer-delay", type=DEFER_DELAY, default="10s", help="Delay after an exit 75 (10s)."
)
@click.option("--start", type=WHEN, default="earliest", help="Where a new group begins.")
@click.pass_context
def work(
    ctx: click.Context,
    /,
    topics: tuple[str, ...],
    jobs: int,
    start: Any,
    grace: float,
    **words: Any,
) -> int:
    """Run COMMAND once for each message, which it reads on stdin.

    \b
    exit 0     ack
    exit 75    defer, by --defer-delay
    exit 65    reject: straight to the dead messages
    126, 127   the command cannot run: release the message, end with that code
    a signal   fail, with "signal 9" as the reason
    else       fail, with the last line of stderr as the reason

    In its environment: LAYBY_TOPIC LAYBY_GROUP LAYBY_POSITION LAYBY_KEY LAYBY_ATTEMPTS
    LAYBY_TIMESTAMP. The first SIGTERM or SIGINT starts no more runs and waits for those under
    way; a second one does not wait. With --json each run is told as one object, and what runs
    write to stdout goes to stderr.
    """
    command = ctx.meta[COMMAND]
    if not command:
        raise Misused("say what to run: -- COMMAND...", ctx)
    setup: Setup = ctx.obj
    with setup.connect() as client:
        crew = Crew(client, setup, Rules(command=command, **words), grace)
        return crew.run(topics, jobs, start)


class Crew:
    """The runs under way, and how they are brought to an end."""

    def __init__(self, client: Client, setup: Setup, rules: Rules, grace: float) -> None:
        self._client = client
        self._setup = setup
        self._rules = rules
        self._grace = grace
        self._running: set[Process] = set()
        self._lock = threading.Lock()
        self._killing = False
        self._status = trouble.DONE
        self._wake, self._asked = os.pipe()

    def run(self, topics: tuple[str, ...], jobs: int, start: Any) -> int:
        """Until a signal asks for the end or the command cannot run."""
        ender = threading.Thread(target=self._end_when_asked, daemon=True)
        ender.start()
        try:
            with stopping(self._ask, again=True):
                self._client.work(
                    self.handle,
                    *topics,
                    group=self._rules.group,
                    jobs=jobs,
                    start=start,
                )
        finally:
            os.close(self._asked)
            ender.join()
            os.close(self._wake)
        return self._status

    # ---- one message

    def handle(self, message: Message) -> None:
        begun = time.monotonic()
        ended = self._run_one(message)
        outcome = verdict.read(ended, self._rules)
        if ended.status in (verdict.CANNOT_RUN, verdict.NOT_FOUND) and not ended.stopped:
            self._give_up(ended)
        outcome.apply(message)
        if self._setup.out.json:
            took = round(time.monotonic() - begun, 6)
            self._setup.out.record(verdict.record(message, self._rules.group, outcome, ended, took))

    def _run_one(self, message: Message) -> Ended:
        if self._rules.timeout is not None:
            message.extend(self._rules.timeout + 2 * KILL_AFTER)
        try:
            process = Process(
                self._rules.command,
                verdict.environment(message, self._rules.group),
                message.data,
                sys.stderr.fileno() if self._setup.out.json else None,
            )
        except FileNotFoundError as error:
            return Ended(verdict.NOT_FOUND, f"{error.filename}: not found")
        except OSError as error:
            return Ended(verdict.CANNOT_RUN, f"{error.filename}: {error.strerror}")
        return self._attend(process)

    def _attend(self, process: Process) -> Ended:
        with self._lock:
            self._running.add(process)
            killing = self._killing
        if killing:
            process.stop(signal.SIGTERM)
        try:
            return process.finish(self._rules.timeout)
        finally:
            with self._lock:
                self._running.discard(process)

    def _give_up(self, ended: Ended) -> None:
        with self._lock:
            first, self._status = not self._status, ended.status
        if first:
            trouble.show(
                "cannot_run",
                ended.last_line or f"the command ended with {ended.status}",
                hint="The message was released; work ends.",
                as_json=self._setup.out.json,
            )
            self._ask()

    # ---- the end

    def _ask(self) -> None:
        """Safe in a signal handler: a byte in a pipe, no lock."""
        os.write(self._asked, b".")

    def _end_when_asked(self) -> None:
        """First word: no new runs. After the grace or at the second word: TERM, then KILL."""
        if not os.read(self._wake, 1):
            return
        self._another_word(self._grace)
        self._signal_all(signal.SIGTERM)
        self._another_word(KILL_AFTER)
        self._signal_all(signal.SIGKILL)

    def _another_word(self, seconds: float) -> None:
        """Wait for one, or for the end of all runs (the pipe is closed), but no longer."""
        deadline = time.monotonic() + seconds
        while True:
            self._client.stop()  # more than once: the consumer may be coming up just now
            left = deadline - time.monotonic()
            if select.select([self._wake], [], [], max(0.0, min(left, AGAIN)))[0]:
                os.read(self._wake, 1)
                return
            if left <= 0:
                return

    def _signal_all(self, number: signal.Signals) -> None:
        with self._lock:
            self._killing = True
            running = list(self._running)
        for process in running:
            process.stop(number)
