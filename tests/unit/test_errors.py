"""Each end of the daemon has its own exit code and its sentence."""

import pytest

from laybyd import errors

KINDS = errors.DaemonError.__subclasses__()


def test_exit_codes_are_told_apart_and_all_but_ok_have_an_error():
    assert {kind.exit for kind in KINDS} == set(errors.Exit) - {errors.Exit.OK}
    assert len(KINDS) == len({kind.exit for kind in KINDS})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not errors.ConfigError])
def test_an_error_reads_as_its_sentence_and_the_case(kind):
    assert str(kind()) == kind.sentence
    assert str(kind("this one")) == f"{kind.sentence}: this one"


def test_a_config_error_holds_every_problem():
    error = errors.ConfigError(["a: wrong", "b: wrong"])
    assert error.problems == ("a: wrong", "b: wrong")
    assert "a: wrong" in str(error)
    assert "b: wrong" in str(error)


def test_the_tree_in_the_module_is_the_tree():
    for kind in KINDS:
        assert f"{kind.__name__:<16} {kind.exit}" in (errors.__doc__ or "")
