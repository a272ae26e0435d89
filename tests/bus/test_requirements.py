"""What a bus says of itself and of others when it is made."""

from typing import Any

import pytest
from pydantic import BaseModel

from cqrsbus import Bus, Command, Event, Query, TopologyError
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.requirements import check_requires, check_version, kind_of


class Find(Query[list[str]], topic="mail.find"):
    word: str


class Stored(Event, topic="mail.stored"):
    number: int


@pytest.mark.parametrize("wrong", [BaseModel, "mail.find", Find(word="x"), Query[int]])
def test_what_is_no_class_of_messages_with_a_topic_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, TopologyError), match=r"requires|required"):
        Bus("web", requires=[wrong])


def test_each_class_is_required_once_in_the_order_they_came() -> None:
    assert check_requires([Stored, Find, Stored]) == (Stored, Find)


def test_a_list_of_requirements_that_is_changed_later_changes_nothing() -> None:
    required: list[Any] = [Find]
    bus = Bus("web", requires=required)
    required.append(BaseModel)
    assert bus._manifest.requires == (Find,)


@pytest.mark.parametrize("version", ["x" * 65, "1\n2"])
def test_a_version_is_a_short_text(version: str) -> None:
    with pytest.raises(ValueError, match="the version"):
        Bus("web", version=version)


@pytest.mark.parametrize("version", ["", "1.4", "x" * 64])
def test_a_version_is_what_was_given(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize(
    ("cls", "kind"),
    [(Command, HandlerKind.COMMAND), (Find, HandlerKind.QUERY), (Stored, HandlerKind.EVENT), (int, None)],
)
def test_a_class_tells_who_handles_it(cls: type, kind: HandlerKind | None) -> None:
    assert kind_of(cls) is kind
