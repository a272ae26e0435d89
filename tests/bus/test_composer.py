"""How a call becomes a message."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from cqrsbus.bus.codec import JSON, MSGPACK
from cqrsbus.bus.composer import _MAX_REMEMBERED, _TOPICS, Composer, new_instance_name, split
from cqrsbus.bus.context import Context, current_context
from cqrsbus.errors import InvalidMessageError, InvalidTopicError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.messages import Command
from cqrsbus.wire.envelope import MAX_ID_LENGTH, Envelope


class Placed(Command, topic="a.placed"):
    number: int = 1


class Homeless(Command):
    number: int = 1


class Moved(Placed, topic="a.moved"):
    pass


@pytest.fixture
def composer() -> Composer:
    return Composer(MSGPACK)


def compose(
    composer: Composer,
    topic: str = "a.b",
    message: object = 1,
    *,
    headers: Mapping[str, str] | None = None,
    message_id: str | None = None,
) -> Outgoing:
    return composer.compose(topic, message, headers, message_id)


@contextmanager
def handling(context: Context) -> Generator[None]:
    token = current_context.set(context)
    try:
        yield
    finally:
        current_context.reset(token)


def test_a_message_of_its_own(composer: Composer) -> None:
    outgoing = compose(composer, message=Placed(), headers={"tenant": "7"}, message_id="order-1")
    assert outgoing.topic == "a.b"
    assert outgoing.envelope == Envelope("order-1", headers={"tenant": "7"})
    assert outgoing.body == MSGPACK.encode({"number": 1})


def test_the_envelope_says_how_the_body_is_written() -> None:
    outgoing = compose(Composer(JSON), message=[1, "a"])
    assert (outgoing.envelope.content_type, outgoing.body) == (JSON.content_type, b'[1,"a"]')


def test_ids_are_unique_in_a_bus_and_among_buses() -> None:
    composers = [Composer(MSGPACK) for _ in range(10)]
    ids = {compose(composer).envelope.message_id for composer in composers for _ in range(100)}
    assert len(ids) == 1000
    assert max(map(len, ids)) <= MAX_ID_LENGTH


def test_what_a_handler_sends_continues_its_messages_trace(composer: Composer) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
    with handling(Context(message_id="m", topic="a.b", headers={**trace, "tenant": "7"})):
        assert compose(composer).envelope.headers == trace
        assert compose(composer, headers={"user": "ann"}).envelope.headers == {**trace, "user": "ann"}
    assert compose(composer).envelope.headers == {}


def test_what_a_handler_sends_continues_its_messages_chain(composer: Composer) -> None:
    start = compose(composer).envelope
    assert (start.correlation_id, start.causation_id) == ("", "")

    received = Context(message_id=start.message_id, topic="a.b")
    with handling(received):
        second = compose(composer).envelope
    assert (second.correlation_id, second.causation_id) == (start.message_id, start.message_id)

    received = Context(message_id=second.message_id, topic="a.b", correlation_id=second.correlation_id)
    with handling(received):
        third = compose(composer).envelope
    assert (third.correlation_id, third.causation_id) == (start.message_id, second.message_id)
    assert compose(composer).envelope.correlation_id == ""


def test_what_waits_for_its_turn_does_not_change_with_the_callers_dict(composer: Composer) -> None:
    headers = {"tenant": "7"}
    outgoing = compose(composer, headers=headers)
    headers["tenant"] = "8"
    assert outgoing.envelope.headers == {"tenant": "7"}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"a": 1}, "pairs of str, not str and int"),
        ({1: "a"}, "pairs of str, not int and str"),
        ({"a": None}, "pairs of str, not str and NoneType"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
        ({"\udfff": "a"}, "half of a surrogate pair"),
        ({"\ud83d": "\ude00"}, "half of a surrogate pair"),
    ],
    ids=repr,
)
def test_headers_are_pairs_of_text(composer: Composer, headers: Mapping[str, str], reason: str) -> None:
    with pytest.raises(InvalidMessageError, match=reason) as caught:
        compose(composer, headers=headers)
    assert caught.value.topic == "a.b"


@pytest.mark.parametrize("message_id", ["", "x" * (MAX_ID_LENGTH + 1), "\ud800"], ids=["empty", "long", "surrogate"])
def test_an_id_that_cannot_travel(composer: Composer, message_id: str) -> None:
    with pytest.raises(InvalidMessageError, match="message id"):
        compose(composer, message_id=message_id)
    assert compose(composer, message_id="é" * MAX_ID_LENGTH).envelope.message_id == "é" * MAX_ID_LENGTH


def test_what_cannot_be_written_is_refused_naming_the_topic(composer: Composer) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        compose(composer, message=object())
    assert caught.value.topic == "a.b"


def test_a_malformed_topic_is_refused_each_time_also_after_many_good_ones(composer: Composer) -> None:
    for number in range(3000):
        compose(composer, f"a.t{number}")
        if number % 1000 == 0:
            with pytest.raises(InvalidTopicError):
                compose(composer, "a.*")
    assert len(composer._checked) <= 1024


class TestTheTwoForms:
    def test_a_topic_and_a_message(self) -> None:
        message = Placed()
        assert split("a.b", message, "send") == ("a.b", message)
        assert split("a.b", None, "send") == ("a.b", None)
        assert split("a.b", ..., "send") == ("a.b", None)

    def test_a_message_that_knows_its_topic(self) -> None:
        message = Placed()
        moved = Moved()
        for _ in range(2):
            assert split(message, ..., "send") == ("a.placed", message)
            assert split(moved, ..., "send") == ("a.moved", moved)

    def test_a_class_in_the_place_of_its_instance_tells_nothing_of_others(self) -> None:
        for message in (Placed, Moved, Placed):
            assert split(message, ..., "send")[0] == message.__cqrs_topic__

    def test_however_many_classes_are_sent_only_so_many_are_remembered(self) -> None:
        for number in range(_MAX_REMEMBERED + 2):
            message = type(f"Sent{number}", (), {"__cqrs_topic__": f"a.{number}"})()
            assert split(message, ..., "send") == (f"a.{number}", message)
            assert type(message) in _TOPICS
            assert len(_TOPICS) <= _MAX_REMEMBERED

    @pytest.mark.parametrize(("message", "name"), [(Homeless(), "Homeless"), (7, "int"), (None, "NoneType")])
    def test_a_message_that_knows_none(self, message: object, name: str) -> None:
        with pytest.raises(InvalidTopicError, match=rf"^invalid topic: {name} has no topic: write bus\.ask\("):
            split(message, ..., "ask")

    def test_two_messages(self) -> None:
        with pytest.raises(TypeError, match=r"bus\.publish\(\) takes a message, or a topic and a message"):
            split(Placed(), Placed(), "publish")


def test_each_instance_has_a_name_of_its_own_whatever_the_host_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("host", "ein.höst_1.example.org", "h" * 300, ""):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        names = {new_instance_name() for _ in range(100)}
        assert len(names) == 100
        assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) and len(name) <= 64 for name in names)
