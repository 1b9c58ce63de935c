"""Deleted topics and changed groups: histories that keep the promises, and such that break them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audit import ending, reading
from tests.audit.told import Told


def deleted(told: Told, answer: object = None) -> None:
    alone(told, "topic_delete", {} if answer is None else answer, topic="app")


def changed(told: Told, *topics: str, answer: object = ()) -> None:
    alone(told, "group_set", {} if answer == () else answer, group="g", topics=list(topics))


def alone(told: Told, verb: str, answer: Any, **asked: object) -> None:
    """At a time of its own."""
    told.at(told.now + 1).call("o", verb, answer, **asked)
    told.at(told.now + 1)


class TestDeletedTopics:
    def test_what_came_before_is_not_given_again(self):
        told = Told().pushed(2)
        deleted(told)
        told.poll("a", told.lease(2))
        assert told.broken() == {reading.GONE}

    def test_what_was_given_before_may_be_settled(self):
        told = Told().pushed(2)
        lease = told.poll("a", told.lease(1, 2))
        deleted(told)
        told.settle("a", lease, 1, 2)
        assert told.broken() == set()

    def test_what_comes_after_is_given(self):
        told = Told().pushed(2)
        deleted(told)
        told.push("m3", first=3)
        told.poll("a", told.lease(3))
        assert told.broken() == set()

    def test_what_was_pushed_meanwhile_may_be_either(self):
        told = Told()
        call = told.writer.invoke("prod", "push", topic="app", data=["m1"])
        deleted(told)
        told.writer.ok(call, boot=1, first=1)
        told.poll("a", told.lease(1))
        assert told.broken() == set()

    @pytest.mark.parametrize("answer", [None, {"code": "unknown_topic"}])
    def test_a_deletion_that_was_not_confirmed_takes_nothing_for_certain(self, answer):
        told = Told().pushed(1)
        alone(told, "topic_delete", answer, topic="app")
        told.poll("a", told.lease(1))
        assert told.broken() == set()

    def test_a_read_shows_nothing_of_it(self):
        told = Told().pushed(1)
        deleted(told)
        block = {"topic": "app", "ranges": [1, 1], "data": ["m1"]}
        asked = {"topics": ["*"], "from": 1}
        told.call("r", "read", {"next": 2, "blocks": [block]}, **asked)
        assert told.broken() == {reading.GONE}


class TestTheEnd:
    def ended(self, told: Told) -> set[str]:
        told.writer.event("end", drained=True)
        return told.broken()

    def test_what_was_deleted_need_not_end(self):
        told = Told().pushed(2)
        told.poll("a")
        deleted(told)
        assert self.ended(told) == set()

    @pytest.mark.parametrize("answer", [{}, {"code": "unknown_topic"}])
    def test_what_came_after_must(self, answer):
        told = Told()
        told.poll("a")
        deleted(told, answer)
        told.pushed(1)
        assert self.ended(told) == {ending.ENDS}

    def test_behind_an_unknown_deletion_nothing_must(self):
        told = Told()
        told.poll("a")
        alone(told, "topic_delete", None, topic="app")
        told.pushed(1)
        assert self.ended(told) == set()

    def test_what_is_read_all_the_time_must(self):
        told = Told().pushed(1)
        told.poll("a", topics=["app"])
        changed(told, "app", "web")
        assert self.ended(told) == {ending.ENDS}

    @pytest.mark.parametrize("answer", [{}, None])
    def test_what_was_not_read_for_a_while_need_not(self, answer):
        told = Told().pushed(1)
        told.poll("a", topics=["app"])
        changed(told, "web", answer=answer)
        changed(told, "app")
        assert self.ended(told) == set()

    def test_a_refused_change_is_none(self):
        told = Told().pushed(1)
        told.poll("a", topics=["app"])
        changed(told, "web", answer={"code": "unknown_group"})
        assert self.ended(told) == {ending.ENDS}


class TestSubscriptions:
    def test_what_is_not_read_any_more_is_not_given(self):
        told = Told().pushed(1)
        changed(told, "web")
        told.poll("a", told.lease(1), topics=["app"])
        assert told.broken() == {reading.READS}

    def test_what_was_deferred_may_come_again(self):
        told = Told().pushed(1)
        changed(told, "web")
        told.poll("a", told.lease(1, lane="deferred"), topics=["app"])
        assert told.broken() == set()

    @pytest.mark.parametrize("answer", [None, {"code": "unknown_group"}])
    def test_a_change_that_was_not_confirmed_may_be_none(self, answer):
        told = Told().pushed(1)
        told.poll("a", topics=["app"])
        changed(told, "web", answer=answer)
        told.poll("a", told.lease(1), topics=None)
        assert told.broken() == set()

    def test_the_last_change_counts(self):
        told = Told().pushed(1)
        changed(told, "web")
        changed(told, "app")
        told.poll("a", told.lease(1))
        assert told.broken() == set()
        changed(told, "web")
        told.push("m2", first=2)
        told.poll("a", told.lease(2))
        assert told.broken() == {reading.READS}
