"""Settings: three places to write them, one strict reading, all problems at once."""

import re
from pathlib import Path

import pytest
import yaml

from laybyd.config import Config
from laybyd.config.explain import _names
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.errors import ConfigError

SAMPLE = Path(__file__).parents[3] / "config" / "layby.yaml"


def problems(text: str | None = None, tmp_path: Path | None = None, **more: object) -> list[str]:
    path = None
    if text is not None and tmp_path is not None:
        path = tmp_path / "layby.yaml"
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.load(path, **more)
    return [one.removeprefix(f"{path}:") for one in caught.value.problems]


# ---- the sample file


def test_the_sample_is_the_defaults():
    assert Config.load(SAMPLE) == Config()


def test_the_sample_holds_every_setting():
    def names(tree: dict, above: str = ""):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from names(value, f"{above}{name}.")
            else:
                yield above + name

    assert list(names(yaml.safe_load(SAMPLE.read_text()))) == list(_names(Config))


def test_each_setting_of_the_sample_says_what_its_default_is_and_why():
    blocks = re.findall(r"((?: *#.*\n)+) *(\w+): *(\S.*)\n", SAMPLE.read_text())
    assert len(blocks) == len(list(_names(Config)))
    for comment, name, value in blocks:
        told = re.search(r"Default: (.+?)(?:\.\n|\.$|, below|\. )", comment)
        assert told, f"{name} does not tell its default"
        first = told[1].removesuffix(".")
        assert first.split(" ")[0] == value.replace('"', "").split(" ")[0], name
        assert len(comment.splitlines()) >= 2, f"{name} says no why"


def test_the_defaults_are_the_cores_own():
    assert Config().core == CoreSettings()
    assert Config().group_defaults == GroupSettings()


# ---- where settings are written


def test_each_place_goes_above_the_one_before(tmp_path):
    path = tmp_path / "layby.yaml"
    path.write_text("log: {level: error, format: json}\nlimits: {wait: 1s}\nbroker:\n")
    env = {"LAYBY__LOG__LEVEL": "warning", "LAYBY__LIMITS__WAIT": "2s", "LAYBY_URL": "x"}
    config = Config.load(path, ["log.level=debug"], env, {"store.path": "/data"})
    assert (config.log.level, config.log.format) == ("debug", "json")
    assert config.limits.wait == 2_000_000
    assert config.store.path == Path("/data")


def test_lists_can_be_written_everywhere():
    config = Config.load(
        None, ["groups.backoff=[1s, 2s]"], {"LAYBY__LISTEN": "[ipc:///a, 'tcp://[::1]:1']"}
    )
    assert config.groups.backoff == (1_000_000, 2_000_000)
    assert config.listen == ("ipc:///a", "tcp://[::1]:1")


def test_tests_take_the_defaults_but_for_some():
    config = Config.default(**{"groups.lease": "1s", "listen": ["tcp://127.0.0.1:0"]})
    assert config.core.group.lease_us == 1_000_000
    with pytest.raises(ConfigError):
        Config.default(**{"groups.leese": "1s"})


def test_shares_are_of_the_store():
    config = Config.default(**{"store.max_bytes": "20GiB", "groups.dead_bytes": "1MiB"})
    assert config.core.group.deferred_bytes == 2 << 30
    assert config.core.group.dead_bytes == 1 << 20


def test_a_missing_or_unreadable_file_is_a_problem(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: no such file"):
        Config.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a directory"):
        Config.load(tmp_path)
    (tmp_path / "latin").write_bytes(b"# \xfc\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Config.load(tmp_path / "latin")


def test_an_empty_file_is_the_defaults(tmp_path):
    (tmp_path / "empty").write_text("# nothing\n")
    assert Config.load(tmp_path / "empty") == Config()


# ---- what is refused


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path):
    text = """\
listen: tcp://127.0.0.1:1
insecure: on
store:
  max_bytes: 10GB
  max_bytes: 10GiB
  segmentbytes: 1GiB
groups:
  lease: 30
  backoff: [1s, soon]
  max_attempts: 06
  reserve: -1
"""
    found = problems(text, tmp_path, sets=["log.levle=debug"], env={"LAYBY__LOG__LEVEL": "loud"})
    assert found == [
        "1: listen: write a list, as in [a, b]",
        "2: insecure: write true or false",
        "4: store.max_bytes: '10GB' has a unit that does not fit; "
        "write a size like 64KiB, 256MiB or 10GiB",
        f"5: store.max_bytes is set twice, first at {tmp_path}/layby.yaml:4",
        "6: store.segmentbytes: unknown setting; did you mean store.segment_bytes?",
        "8: groups.lease: 30 has no unit; write a duration like 30s, 5ms, 10m or 1h",
        "9: groups.backoff.1: 'soon' is not a duration like 30s, 5ms, 10m or 1h",
        "10: groups.max_attempts: write a whole number like 1000, "
        "without quotes, units or leading zeros",
        "11: groups.reserve: too small; write 0 or more",
        "environment LAYBY__LOG__LEVEL: log.level: "
        "write one of 'debug', 'info', 'warning' or 'error'",
        "--set log.levle: log.levle: unknown setting; did you mean log.level?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stor:\n  path: x\n", "1: stor: unknown setting; did you mean store?"),
        ("max_bytes: 1GiB\n", "1: max_bytes: unknown setting; did you mean store.max_bytes?"),
        ("log.level: info\n", "1: log.level: unknown setting; write level: indented below log:"),
        ("zzz: 1\n", "1: zzz: unknown setting; there are broker, groups, insecure"),
        ("log:\n  zzz: 1\n", "2: log.zzz: unknown setting; there are log.level, log.format"),
        ("log: 5\n", "1: log: this is a section: write its keys below it, indented"),
        ("log:\n  level:\n", "2: log.level: has no value"),
        ("listen: []\n", "1: listen: the list is empty"),
        ("listen: [localhost]\n", "1: listen.0: 'localhost' is no endpoint"),
        ("- a\n", "1: the file must hold keys and values"),
        ("a: &x 1\nb: *x\n", "2: aliases are not taken"),
        ("a: [\n", "2: expected the node content"),
        ("a: 1\n---\nb: 2\n", "2: but found another document"),
        ("? [a]\n: 1\n", "1: a key must be a word"),
        ("a: !!python/object:os.system 1\n", "could not determine a constructor"),
        ("groups:\n  max_attempts: 1e3\n", "2: groups.max_attempts: write a whole number"),
        ("groups:\n  max_attempts: 22:30\n", "2: groups.max_attempts: write a whole number"),
        ("groups:\n  max_attempts: true\n", "2: groups.max_attempts: write a whole number"),
        ("groups:\n  busy_share: 101%\n", "2: groups.busy_share: '101%' is out of range"),
        ("groups:\n  max_hold: 1s\n", "2: groups.max_hold: must not be shorter"),
        ("limits:\n  max_message: 2MiB\n", "2: limits.max_message: a message must fit"),
        ("limits:\n  max_block: 99MiB\n", "limits.pending_bytes: at least one block"),
        ("store:\n  segment_bytes: 257KiB\n", "store.segment_bytes: must be a multiple"),
        ("store:\n  max_bytes: 300MiB\n", "store.max_bytes: must hold at least"),
    ],
)
def test_one_problem(tmp_path, text, problem):
    found = problems(text, tmp_path)
    assert any(problem in one for one in found), found


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"sets": ["log.level"]}, "--set log.level: write it as KEY=VALUE"),
        ({"sets": ["=x"]}, "--set =x: write it as KEY=VALUE"),
        ({"sets": ["log.level=[x"]}, "--set log.level: this is not a value"),
        ({"sets": ["log.level.x=1"]}, "--set log.level.x: log.level: write one of"),
        ({"sets": ["log={level: info, level: info}"]}, "--set log: log.level is set twice"),
        ({"sets": ["store.path=5"]}, "--set store.path: store.path: write a path"),
        ({"options": {"store.path": ""}}, "command line: store.path: write a path"),
        ({"env": {"LAYBY__X": "1"}}, "environment LAYBY__X: x: unknown setting"),
    ],
)
def test_one_problem_outside_the_file(more, problem):
    assert any(one.startswith(problem) for one in problems(**more))


def test_strangers_may_knock_only_when_told_so():
    (problem,) = problems(sets=["listen=['tcp://*:5577', ipc:///a]"])
    assert problem.startswith("--set listen: listen: tcp://*:5577 can be reached from other")
    config = Config.load(None, ["listen=['tcp://*:5577', ipc:///a]", "insecure=true"])
    assert config.open_endpoints == ("tcp://*:5577",)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().insecure = True
