from __future__ import annotations

import json
from pathlib import Path

import layby
from layby import errors
from layby.errors import LaybyError, Refused

CODES = Path(__file__).parents[3] / "clients" / "protocol" / "codes.json"


def tree(kind: type) -> list[type]:
    return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]


def test_every_code_of_the_protocol_has_its_class():
    codes = json.loads(CODES.read_text())["codes"]
    assert {entry["code"]: entry["retryable"] for entry in codes} == {
        code: kind.retryable for code, kind in Refused.kinds.items()
    }


def test_every_error_says_what_it_is_and_what_to_do():
    for kind in tree(LaybyError):
        assert kind.code
        assert kind.hint or kind in (LaybyError, Refused, errors.Closed), kind


def test_the_docstring_is_the_default_text():
    assert str(errors.Unreachable()) == "Nobody answers at the endpoint."


def test_the_tree_in_the_docstring_is_complete():
    for kind in tree(LaybyError):
        assert kind.__name__ in errors.__doc__


def test_exports_are_sorted_and_there():
    assert layby.__all__ == sorted(layby.__all__)
    assert all(hasattr(layby, name) for name in layby.__all__)
    from layby import aio

    assert set(aio.__all__) | {"__version__"} == set(layby.__all__)
