"""The command laybyd: what it refuses, with which exit code, and what it says first."""

import builtins
import resource
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from laybyd import __version__, cli
from laybyd.errors import Exit, StoreInUse

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture
def served(monkeypatch):
    """Takes the place of the broker: `configs` it was started with, `end` it comes to."""
    fake = SimpleNamespace(configs=[], end=Exit.OK)

    def run(config):
        fake.configs.append(config)
        if isinstance(fake.end, Exception):
            raise fake.end
        return fake.end

    monkeypatch.setitem(__import__("sys").modules, "laybyd.serve", SimpleNamespace(run=run))
    return fake


def laybyd(*args: str, **env: str):
    return CliRunner().invoke(cli.command, args, env=env)


def test_settings_can_be_checked(tmp_path):
    (tmp_path / "layby.yaml").write_text("log: {level: debug}\n")
    result = laybyd("-c", str(tmp_path / "layby.yaml"), "--check")
    assert (result.exit_code, result.output) == (0, "the settings are good\n")


def test_wrong_settings_are_all_named_with_exit_78(tmp_path):
    (tmp_path / "layby.yaml").write_text("log: {level: loud}\n")
    result = laybyd("-c", str(tmp_path / "layby.yaml"), "--set", "x=1", "--check", LAYBY__Y="1")
    assert result.exit_code == 78
    lines = result.stderr.splitlines()
    assert lines[0] == (
        f"laybyd: {tmp_path}/layby.yaml:1: log.level: "
        "write one of 'debug', 'info', 'warning' or 'error'"
    )
    assert len(lines) == 3


def test_options_go_above_everything(served):
    result = laybyd(
        *("--data", "/data", "--listen", "ipc:///a", "--listen", "tcp://[::1]:0"),
        *("--set", "store.path=/no", "--set", "log.format=json"),
    )
    assert result.exit_code == 0
    (config,) = served.configs
    assert str(config.store.path) == "/data"
    assert config.listen == ("ipc:///a", "tcp://[::1]:0")
    assert config.log.format == "json"


def test_an_open_address_is_warned_of(served):
    result = laybyd("--listen", "tcp://*:5577", "--set", "insecure=true")
    assert "tcp://*:5577 can be reached from other machines" in result.stderr


@pytest.mark.parametrize(
    ("end", "code"),
    [(StoreInUse("var"), 75), (RuntimeError("x"), 70), (Exit.ADDRESS_IN_USE, 69)],
)
def test_the_end_is_the_exit_code(served, end, code):
    served.end = end
    assert laybyd().exit_code == code


def test_the_broker_may_have_as_many_connections_as_the_system_allows(served):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        laybyd()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_ended_it_is_logged(served):
    served.end = StoreInUse("var")
    assert "the store is in use by another process: var" in laybyd().stderr


def test_help_and_version():
    assert "Exit codes" in laybyd("-h").output
    assert laybyd("--version").output == f"laybyd {__version__}\n"
    assert laybyd("--nonsense").exit_code == 2


@pytest.mark.parametrize(("missing", "code"), [("pydantic", 78), ("laybyd.config.nothing", None)])
def test_the_light_installation_says_what_is_missing(monkeypatch, capsys, missing, code):
    really = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "laybyd.config":
            raise ModuleNotFoundError(name=missing)
        return really(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("sys.argv", ["laybyd", "--check"])
    if code is None:
        with pytest.raises(ModuleNotFoundError):
            cli.main()
        return
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    assert "pip install 'layby[server]'" in capsys.readouterr().err
