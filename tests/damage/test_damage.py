"""What every commit runs: three hundred harms, some of them under a real daemon."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from laybyd.errors import Exit
from loadtests.daemon import DaemonProcess, NotReady
from tests.damage.__main__ import run
from tests.damage.harm import Harm, drawn
from tests.damage.judge import faults, is_live
from tests.damage.look import DAMAGED, Seen, started
from tests.formats.make import SETTINGS
from tests.formats.test_formats import unpacked

if TYPE_CHECKING:
    from pathlib import Path

SEED = 1
COUNT = 340
STARTS = 4
WHOLE = Seen("whole", "", {"row 1": "a", "block 1": "b", "group 1": "c"})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_is_harmed_is_named_and_never_served():
    account = run(SEED, COUNT)
    assert account["failures"] == []
    assert account["flip"] >= 200
    assert min(account["zero"], account["cut"], account["take out"]) > 10
    assert account["live"] > COUNT // 4
    assert account["start damaged"] > 20


@pytest.mark.slow
@pytest.mark.integration
def test_a_daemon_refuses_a_damaged_store_and_says_what_helps(tmp_path: Path):
    kept = unpacked(1, tmp_path / "kept")
    (kept / "ballast").touch()
    refused = 0
    for seed in range(SEED, SEED + COUNT):
        daemon = DaemonProcess(tmp_path / f"daemon{seed}", SETTINGS)
        shutil.copytree(kept, daemon.store)
        drawn(kept, seed).do(daemon.store)
        copy = shutil.copytree(daemon.store, tmp_path / f"copy{seed}")
        is_refused_at_start = drawn(kept, seed).file == "state.lmdb"
        if not is_refused_at_start or started(copy).how != "damaged":
            continue
        with pytest.raises(NotReady, match=f"exit {int(Exit.DAMAGED)}"):
            daemon.start()
        assert "the store is damaged" in daemon.log()
        assert "backup" in daemon.log()
        refused += 1
        if refused == STARTS:
            break
    assert refused == STARTS


def test_a_harm_is_its_seeds_own(tmp_path: Path):
    kept = unpacked(1, tmp_path / "kept")
    assert [drawn(kept, seed) for seed in range(50)] == [drawn(kept, seed) for seed in range(50)]
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    Harm("flip", "state.lmdb", 5_000, bit=3).do(kept)
    changed = {path.name for path in kept.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"state.lmdb"}


def test_the_judge_is_not_easily_pleased():
    """Wrong bytes, silence of the check, other ends: each is a fault."""
    refused = Seen("whole", "", WHOLE.parts | {"block 1": DAMAGED})
    named, silent = Seen("damaged", "it is named"), Seen("whole")
    assert faults(WHOLE, silent, WHOLE) == []
    assert not is_live(WHOLE, WHOLE)
    assert faults(WHOLE, named, refused) == []
    assert is_live(WHOLE, refused)
    assert faults(WHOLE, silent, refused) == ["the check names nothing"]
    for wrong in ({"block 1": "z"}, {"row 1": "z"}, {"group 1": DAMAGED}):
        served = Seen("whole", "", WHOLE.parts | wrong)
        assert faults(WHOLE, named, served) == [f"wrong bytes are served: {next(iter(wrong))}"]
    lost = Seen("whole", "", {"row 1": "a", "group 1": "c"})
    assert faults(WHOLE, named, lost) == ["wrong bytes are served: block 1"]
    for how in ("SIGABRT", "failed", "refused"):
        assert faults(WHOLE, named, Seen(how)) == [f"a start ends with {how}: "]
    assert faults(WHOLE, Seen("failed"), Seen("damaged"))
