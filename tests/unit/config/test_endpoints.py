"""Endpoints: which are any, and which strangers can reach."""

import pytest

from laybyd.config.endpoints import checked, is_local

LOCAL = [
    "tcp://127.0.0.1:5577",
    "tcp://127.8.0.1:0",
    "tcp://localhost:*",
    "tcp://[::1]:5577",
    "ipc:///run/layby/layby.sock",
    "ipc://@layby",
]
OPEN = ["tcp://*:5577", "tcp://0.0.0.0:5577", "tcp://[::]:5577", "tcp://eth0:1", "tcp://host.x:1"]
WRONG = [
    "",
    "127.0.0.1:5577",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:99999",
    "tcp://::1:5577",
    "udp://127.0.0.1:1",
    "inproc://x",
    "ipc://",
    "ipc://*",
    "ipc://" + "x" * 108,
    "tcp://127.0.0.1:1 ",
]


@pytest.mark.parametrize("endpoint", LOCAL)
def test_only_this_machine_reaches_it(endpoint):
    assert checked(endpoint) == endpoint
    assert is_local(endpoint)


@pytest.mark.parametrize("endpoint", OPEN)
def test_strangers_reach_it(endpoint):
    assert checked(endpoint) == endpoint
    assert not is_local(endpoint)


@pytest.mark.parametrize("endpoint", WRONG)
def test_it_is_no_endpoint(endpoint):
    with pytest.raises(ValueError, match=r"endpoint|path|longer"):
        checked(endpoint)
