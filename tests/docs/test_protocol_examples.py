"""The specification against the code: every worked example both ways, and its tables."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cqrsbus.broker.greeting import read_hello, welcome
from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.contracts.canonical import digest
from cqrsbus.contracts.contract import decode_contracts, encode_contracts
from cqrsbus.errors import Code, RemoteError
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS, MAX_DESCRIBED, RoutingLimits
from cqrsbus.routing.router import Router
from cqrsbus.wire.batch import bodies, check_batch, check_bodies
from cqrsbus.wire.connection import PREAMBLE, RECEIVES, Role, State
from cqrsbus.wire.envelope import decode_envelope
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import HEAD_SIZE, KNOWN_FLAGS, MIN_LENGTH, RESERVED_FLAGS, Flag, Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header
from cqrsbus.wire.reader import FrameReader

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


#: What each of several bodies in one frame is called.
_BATCHED = ("event", "query", "answer")


class Example:
    """One fenced block ``frame``: what the frame says, and its bytes."""

    def __init__(self, block: str) -> None:
        lines = [line.split(maxsplit=1) for line in block.strip().splitlines()]
        self.batched = [value.encode() for key, value in lines if key in _BATCHED]
        self.data = bytes.fromhex("".join(value for key, value in lines if key == "hex"))
        self.fields = {key: value for key, value in lines if key not in ("hex", *_BATCHED)}
        self.speaker = self.fields.pop("from", "")
        self.listener = self.fields.pop("to", "")

    def frame(self) -> Frame:
        """The frame as it is described in words."""
        fields = dict(self.fields)
        numbers = {key: int(fields.pop(key, "0"), 0) for key in ("flags", "detail", "channel", "id", "ttl")}
        frame = Frame.of(
            Kind[fields.pop("kind")],
            topic=fields.pop("topic", "").encode(),
            header=_packed(fields.pop("header", "{}")),
            body=_batched(self.batched) or fields.pop("body", "").encode(),
            **numbers,
        )
        frame.stamp = _packed(fields.pop("stamp", "{}"))
        assert not fields, f"not understood: {fields}"
        return frame


def _batched(bodies: list[bytes]) -> bytes:
    return b"".join([*(len(body).to_bytes(4, "big") for body in bodies), *bodies])


def _packed(text: str) -> bytes:
    return encode_header(json.loads(text))


EXAMPLES = [Example(block) for block in re.findall(r"^```frame\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=[example.fields["kind"] for example in EXAMPLES])


@each_example
def test_the_words_encode_to_the_bytes(example: Example) -> None:
    assert example.frame().encode().hex(" ", -4) == example.data.hex(" ", -4)


@each_example
def test_the_bytes_decode_to_the_words(example: Example) -> None:
    reader = FrameReader(max_frame=4096, max_header=4096)
    reader.feed(example.data)
    frame = reader.next_frame()
    assert frame == example.frame()
    assert reader.at_boundary
    assert frame is not None
    shown: dict[str, Any] = {name: json.loads(example.fields.get(name, "{}")) for name in ("header", "stamp")}
    shown["header"] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in shown["header"].items()
    }
    assert {"header": decode_header(frame.header), "stamp": decode_header(frame.stamp)} == shown


def test_the_examples_show_what_they_promise() -> None:
    assert [example.fields["kind"] for example in EXAMPLES] == [
        *("HELLO", "WELCOME", "SUBSCRIBE", "CONFIRM", "SUBSCRIBE", "CONFIRM", "PUBLISH", "DELIVER", "CREDIT"),
        *("PUBLISH", "DELIVER", "CREDIT"),
        *("ASK", "DELIVER", "REPLY", "REPLY", "SEND", "REJECT"),
        *("ASK", "DELIVER", "CONFIRM", "CREDIT", "CREDIT", "REPLY", "REPLY", "REPLY", "REPLY"),
        *("ASK", "CONFIRM", "DELIVER", "REPLY", "REPLY", "REPLY"),
        *("ASK", "DELIVER", "REPLY", "REPLY"),
        *("SUBSCRIBE", "CONFIRM", "DESCRIBE", "REPLY", "REPLY"),
        *("ASK", "DELIVER", "REPLY", "REPLY"),
    ]


def test_a_router_plays_its_part_in_the_conversation() -> None:
    router, numbers = Router(RoutingLimits()), {"mailer": 1, "desk": 2}
    router.attach(1, "mailer", "m-1")
    router.attach(2, "desk", "d-1")
    told: list[tuple[int, Frame]] = []
    for example in EXAMPLES[2:]:
        if example.speaker:
            assert told == []
            told = router.receive(numbers[example.speaker], example.frame(), 0.0)
        else:
            assert told.pop(0) == (numbers[example.listener], example.frame())
    assert told == []
    assert router.open_requests == 0


def test_what_a_subscription_says_is_what_a_bus_says() -> None:
    (said,) = [
        example.frame() for example in EXAMPLES if example.fields["kind"] == "SUBSCRIBE" and example.frame().body
    ]
    (contract,) = decode_contracts(said.body, "mailer")
    assert encode_contracts([contract]) == said.body
    assert contract.message is not None
    assert digest(contract.message) == contract.message_hash
    assert (f"{MAX_CONTRACT} bytes" in PAGE, f"at most {MAX_CONTRACTS}" in PAGE) == (True, True)
    assert f"at most {MAX_DESCRIBED}" in PAGE


def test_the_greeting_is_what_a_broker_takes_and_says() -> None:
    hello, answer = EXAMPLES[0].frame(), EXAMPLES[1].frame()
    assert read_hello(hello)[:2] == ("mailer", "m-1")
    said, shown = decode_header(welcome(BrokerLimits(), 1, "5f0c2ad1").header), decode_header(answer.header)
    assert said.keys() == shown.keys()
    assert {**said, "product": ""} == {**shown, "product": ""}


def test_the_failure_in_the_examples_is_one_that_a_caller_makes_again() -> None:
    failures = [frame for frame in (example.frame() for example in EXAMPLES) if frame.flags & Flag.FAILED]
    error = error_in(next(frame for frame in failures if frame.kind == Kind.REPLY and frame.stamp))
    assert isinstance(error, RemoteError)
    assert (error.type, error.message, error.service) == ("MailboxLocked", "inbox is locked", "mailer")
    assert (error.content_type, error.body) == ("application/json", b'{"folder":"inbox"}')


def test_envelopes_in_the_examples_are_envelopes() -> None:
    carriers = [example for example in EXAMPLES if example.fields["kind"] in ("SEND", "ASK", "PUBLISH")]
    ids = [decode_envelope(each.frame().header).message_id for each in carriers]
    assert sorted(ids) == ["m000000000007", "m000000000009", "m1", "m2", "m3", "m4", "m5", "m6"]


def test_batches_in_the_examples_are_batches() -> None:
    batches = [example for example in EXAMPLES if example.frame().flags & Flag.BATCH]
    assert [example.fields["kind"] for example in batches] == ["PUBLISH", "DELIVER", "ASK", "DELIVER", "REPLY", "REPLY"]
    for example in batches:
        frame = example.frame()
        if frame.kind == Kind.REPLY:
            check_bodies(frame)
        else:
            check_batch(frame)
        assert bodies(frame) == example.batched


def test_the_preamble() -> None:
    (shown,) = re.findall(r"```text\n((?:[0-9a-f]{2} ?){10})\n```", PAGE)
    assert bytes.fromhex(shown) == PREAMBLE


def rows(title: str) -> list[list[str]]:
    """The cells of the first table below a title, without its head."""
    table = re.search(r"((?:^\|.*\n)+)", PAGE[PAGE.index(f"\n## {title}\n") :], re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[1].splitlines()[2:]]


def test_the_head_adds_up() -> None:
    fixed = [(int(offset), int(size)) for offset, size, *_ in rows("Frame") if offset and size.isdigit()]
    position = 0
    for offset, size in fixed:
        assert offset == position
        position += size
    assert position == HEAD_SIZE == MIN_LENGTH + 4


def test_the_table_of_kinds() -> None:
    listed = rows("Kinds")
    assert {(row[0].strip("`"), int(row[1].strip("`"), 16)) for row in listed} == {(kind.name, kind) for kind in Kind}
    for row in listed:
        kind = Kind[row[0].strip("`")]
        flags = {int(bit, 16) for bit in re.findall(r"0x[0-9a-f]{2}", row[7])}
        if row[7] not in ("see below", "the same"):
            assert sum(flags) == KNOWN_FLAGS[kind], kind.name
            reserved = {int(bit, 16) for bit in re.findall(r"(0x[0-9a-f]{2})[ `a-z]* †", row[7])}
            assert sum(reserved) == RESERVED_FLAGS.get(kind, 0), kind.name
        for letter, receiver in (("C", Role.BROKER), ("B", Role.CLIENT)):
            opening, opened = RECEIVES[receiver, State.OPENING], RECEIVES[receiver, State.OPEN]
            senders = "".join(other[2] for other in listed if other[0] == row[0])
            assert (letter in senders) == (kind in opening or kind in opened), kind.name


def test_the_table_of_codes() -> None:
    listed = {(int(number), name.strip("`")) for number, name, *_ in rows("Error codes")}
    assert listed == {(code.value, code.name) for code in Code if code < 400}


def test_the_states() -> None:
    for side, state, receives, _ in rows("Connection states"):
        if side == "either":
            continue
        kinds = {Kind[name] for name in re.findall(r"`([A-Z]+)`", receives.partition(";")[0])}
        row = RECEIVES[Role[side.upper()], State[state.upper()]]
        assert kinds == row.keys() - {Kind.ERROR}
