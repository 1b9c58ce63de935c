"""`python -m loadtests.run SCENARIO`: one load run without a browser, its account, its report.

Owns the run: a daemon of its own over a temporary store, locust's runner, the end. The account is
always demanded; `--judge-times` demands the scenario's bars as well.
"""

from __future__ import annotations

# locust first: it makes the standard library cooperative before others take hold of it
from locust.env import Environment  # isort: skip
from locust.html import get_html_report  # isort: skip

import argparse
import logging
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from loadtests.daemon import DaemonProcess
from loadtests.scenarios import LIMITS, SCENARIOS, SETTINGS, Scenario
from loadtests.users import GreenPeer
from loadtests.world import GROUP, World
from tests.audit.tape import now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORTS = Path(__file__).with_name("reports")
SECONDS = 20.0
FINISH_S = 30.0
FILES = 16_384


def load(scenario: Scenario, url: str, seconds: float) -> World:
    """One run against the broker at `url`."""
    env = Environment(user_classes=list(scenario.users), host=url, catch_exceptions=False)
    runner = env.create_local_runner()
    world = World(seconds, LIMITS)
    env.world = world  # type: ignore[attr-defined]
    logging.getLogger("locust.runners").setLevel(logging.ERROR)  # it minds starting all at once
    users = sum(user.fixed_count for user in scenario.users)
    runner.start(users, spawn_rate=users)
    world.start_us = now_us()
    gevent.sleep(seconds)
    world.closing = True
    end_us = now_us() + int(FINISH_S * 1e6)
    while world.missing() and now_us() < end_us:
        gevent.sleep(0.2)
    runner.quit()
    REPORTS.mkdir(exist_ok=True)
    report = REPORTS / f"{scenario.name}.html"
    report.write_text(get_html_report(env, show_download_link=False))
    if failures := env.stats.total.num_failures:
        world.trouble.append(f"{failures} requests failed: see {report}")
    return world


def look_at_the_group(world: World, url: str) -> None:
    """What the broker counts in the end and whom it lists as dead: for the auditor."""
    peer = GreenPeer(url, world.tape("operator"))
    after, more = 0, True
    while more:
        page = peer.ask("parked", group=GROUP, lane="dead", after=after)
        after = page["parked"][-1]["to"] if page["parked"] else after
        more = page["more"]
    peer.ask("group", group=GROUP)
    peer.close()


def say_account(world: World, url: str) -> bool:
    look_at_the_group(world, url)
    account = world.account()
    faults = [*account.faults, *world.trouble[:5]]
    if world.unconfirmed:
        faults.append(f"{world.unconfirmed} messages pushed but never confirmed")
    if account.pushed != account.settled + account.dead:
        faults.append(f"{account.pushed} pushed, but {account.settled} acked + {account.dead} dead")
    again = account.deliveries - account.pushed
    print(
        f"pushed {account.pushed:,} of {world.intended:,}, acked {account.settled:,}, "
        f"dead {account.dead}, failures {account.failures}, delivered again {again}"
    )
    for fault in faults:
        print(f"  WRONG  {fault}")
    return not faults


def say_bars(scenario: Scenario, world: World, judge: bool) -> bool:
    """Whether all bars are passed, or need not be."""
    passed = True
    for bar in scenario.bars:
        value = bar.measure(world)
        good = bar.passed(value)
        passed &= good
        mark = "passed" if good else "MISSED" if judge else "missed"
        word = "at least" if bar.least else "at most"
        print(f"  {mark}  {bar.name:40} {value:10.2f} {bar.unit:6} {word} {bar.limit:g}")
    return passed or not judge


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="loadtests.run", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--judge-times", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    scenario = SCENARIOS[options.scenario]
    print(f"{scenario.name}: {scenario.about}; {options.seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="layby-load-") as folder:
        daemon = DaemonProcess(Path(folder), SETTINGS)
        with daemon:
            world = load(scenario, daemon.url, options.seconds)
            right = say_account(world, daemon.url)
        if not right:
            print(daemon.log()[-2_000:])
    in_time = say_bars(scenario, world, options.judge_times)
    print(f"  report  {REPORTS / scenario.name}.html")
    return 0 if right and in_time else 1


if __name__ == "__main__":
    sys.exit(main())
