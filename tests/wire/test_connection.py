"""One side of a connection: the tables, the greeting, and that no bytes do more than end it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.connection import MAX_OPENING_FRAME, PREAMBLE, RECEIVES, Connection, Role, State
from cqrsbus.wire.frames import Frame, Kind
from tests.wire.strategies import frames, kinds_received, portions

MAX_FRAME = 20_000
HELLO = Frame.of(Kind.HELLO, header=b"\x80")
WELCOME = Frame.of(Kind.WELCOME, header=b"\x80")
OPENING = {Role.BROKER: HELLO, Role.CLIENT: WELCOME}


def connection(role: Role, *, at: State = State.OPENING) -> Connection:
    made = Connection(role, max_frame=MAX_FRAME, max_header=1 << 16)
    if at is not State.OPENING:
        made.receive_data(PREAMBLE + OPENING[role].encode())
        assert made.next_frame() == OPENING[role]
        assert made.next_frame() is None
    if at is State.OPEN and role is Role.BROKER:
        made.welcome()
    if at is State.CLOSED:
        made.close()
    assert made.state is at
    return made


def take_all(receiver: Connection) -> list[Frame]:
    """Every frame there is; a broker welcomes at once."""
    found: list[Frame] = []
    while (frame := receiver.next_frame()) is not None:
        found.append(frame)
        if receiver.state is State.GREETED:
            receiver.welcome()
    return found


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Role, list[Frame]]:
    """What one side may receive from HELLO or WELCOME on, perhaps to the last word."""
    role = draw(st.sampled_from(Role))
    kinds = st.sampled_from(kinds_received(role))
    sent = [OPENING[role], *draw(st.lists(frames(kinds, stamped=role is Role.CLIENT), max_size=6))]
    if draw(st.booleans()):
        sent.append(Frame.of(Kind.ERROR, detail=Code.SHUTTING_DOWN))
    return role, sent


@given(conversations(), st.data())
def test_any_portions_give_the_same_conversation(conversation: tuple[Role, list[Frame]], data: st.DataObject) -> None:
    role, sent = conversation
    receiver, found = connection(role), list[Frame]()
    for part in data.draw(portions(PREAMBLE + b"".join(frame.encode() for frame in sent))):
        receiver.receive_data(part)
        found += take_all(receiver)
    assert found == sent
    assert receiver.state is (State.CLOSED if sent[-1].kind == Kind.ERROR else State.OPEN)
    receiver.receive_eof()
    assert receiver.state is State.CLOSED


@pytest.mark.parametrize("role", Role)
def test_truncated_at_each_byte(role: Role) -> None:
    sent = [OPENING[role], Frame.of(Kind.PING, id=1), Frame.of(Kind.REPLY, id=2, header=b"\x80", body=b"body")]
    wire = PREAMBLE + b"".join(frame.encode() for frame in sent)
    boundaries = {0, len(PREAMBLE)}
    for frame in sent:
        boundaries.add(max(boundaries) + frame.size)
    for size in range(len(wire) + 1):
        receiver = connection(role)
        receiver.receive_data(wire[:size])
        found = take_all(receiver)
        assert found == sent[: len(found)]
        assert len(PREAMBLE) + sum(frame.size for frame in found) <= max(size, len(PREAMBLE))
        if size in boundaries:
            receiver.receive_eof()
        else:
            with pytest.raises(ProtocolError) as caught:
                receiver.receive_eof()
            assert caught.value.code == Code.BAD_FRAME
        assert receiver.state is State.CLOSED
        assert receiver.next_frame() is None


ROWS = [
    (role, state, kind) for role, state in RECEIVES if state is not State.CLOSED for kind in (*Kind, 0x00, 0x07, 0xFF)
]


@pytest.mark.parametrize(("role", "state", "kind"), ROWS)
def test_each_kind_in_each_state(role: Role, state: State, kind: int) -> None:
    receiver = connection(role, at=state)
    data = Frame(kind).encode()
    receiver.receive_data(PREAMBLE + data if state is State.OPENING else data)
    leads_to = RECEIVES[role, state].get(kind)
    if leads_to is None:
        with pytest.raises(ProtocolError) as caught:
            receiver.next_frame()
        assert caught.value.code == Code.UNEXPECTED_FRAME
        assert receiver.state is State.CLOSED
    else:
        assert receiver.next_frame() == Frame(kind)
        assert receiver.state is leads_to


def test_the_table_itself() -> None:
    both = {"PING", "PONG", "REPLY", "CANCEL", "CREDIT", "DRAIN", "ERROR"}
    names = {row: {Kind(kind).name for kind in kinds} for row, kinds in RECEIVES.items()}
    assert names == {
        (Role.BROKER, State.OPENING): {"HELLO", "ERROR"},
        (Role.BROKER, State.GREETED): {"ERROR"},
        (Role.BROKER, State.OPEN): both
        | {"SUBSCRIBE", "UNSUBSCRIBE", "DESCRIBE", "SEND", "ASK", "PUBLISH", "ACK", "NACK"},
        (Role.BROKER, State.CLOSED): set(),
        (Role.CLIENT, State.OPENING): {"WELCOME", "ERROR"},
        (Role.CLIENT, State.OPEN): both | {"DELIVER", "CONFIRM", "REJECT"},
        (Role.CLIENT, State.CLOSED): set(),
    }


@pytest.mark.parametrize("role", Role)
def test_opening_frames_are_small(role: Role) -> None:
    for size, is_small in ((MAX_OPENING_FRAME, True), (MAX_OPENING_FRAME + 1, False), (100_000_000, False)):
        receiver = connection(role)
        receiver.receive_data(PREAMBLE + (size - 4).to_bytes(4, "big"))
        if is_small:
            assert receiver.next_frame() is None
        else:
            with pytest.raises(ProtocolError) as caught:
                receiver.next_frame()
            assert caught.value.code == Code.FRAME_TOO_LARGE


@pytest.mark.parametrize("role", Role)
def test_open_frames_have_the_agreed_size(role: Role) -> None:
    largest = Frame.of(Kind.REPLY, body=bytes(MAX_FRAME - 28))
    receiver = connection(role, at=State.OPEN)
    receiver.receive_data(largest.encode())
    assert receiver.next_frame() == largest
    receiver.receive_data(Frame.of(Kind.REPLY, body=bytes(MAX_FRAME - 27)).encode())
    with pytest.raises(ProtocolError) as caught:
        receiver.next_frame()
    assert caught.value.code == Code.FRAME_TOO_LARGE


def test_only_a_broker_stamps() -> None:
    stamped = Frame(Kind.REPLY, stamp=b"\x80")
    client, broker = connection(Role.CLIENT, at=State.OPEN), connection(Role.BROKER, at=State.OPEN)
    client.receive_data(stamped.encode())
    assert client.next_frame() == stamped
    broker.receive_data(stamped.encode())
    with pytest.raises(ProtocolError, match="stamps") as caught:
        broker.next_frame()
    assert caught.value.code == Code.BAD_FRAME


def one_by_one(receiver: Connection, found: list[Frame]) -> None:
    while (frame := receiver.next_frame()) is not None:
        found.append(frame)


@given(st.sampled_from(Role), st.lists(frames(), max_size=6), st.data())
def test_many_at_once_are_the_same_as_one_by_one(role: Role, sent: list[Frame], data: st.DataObject) -> None:
    parts = data.draw(portions(b"".join(frame.encode() for frame in sent)))
    outcomes = list[tuple[list[Frame], str, State]]()
    for take in (one_by_one, Connection.read_frames):
        receiver, found, complaint = connection(role, at=State.OPEN), list[Frame](), ""
        try:
            for part in parts:
                receiver.receive_data(part)
                take(receiver, found)
        except ProtocolError as error:
            complaint = str(error)
        outcomes.append((found, complaint, receiver.state))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("role", Role)
def test_the_greeting_is_read_at_once_with_what_may_follow_it(role: Role) -> None:
    receiver, found = connection(role), list[Frame]()
    receiver.receive_data(PREAMBLE + OPENING[role].encode())
    receiver.read_frames(found)
    assert found == [OPENING[role]]
    if role is Role.BROKER:
        receiver.welcome()
    receiver.receive_data(Frame(Kind.PING).encode() * 2)
    receiver.read_frames(found)
    assert found[1:] == [Frame(Kind.PING)] * 2


GREETINGS = {
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n": "HTTP",
    b"POST /x HTTP/1.0\r\n": "HTTP",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "HTTP",
    b"HTTP/1.1 400 Bad Request\r\n": "HTTP",
    b"<!DOCTYPE HTML>\n": "HTTP",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS",
    b"\x15\x03\x03\x00\x02\x02\x46": "TLS",
    b"CQRSBUS\x02": "version 2",
    b"CQRSBUS\x00": "version 0",
    b"CQRSBUS\x01\n\x00": "line breaks are changed",
    b"CQRSBUS\x02\n\x00": "version 2",
    b"CQRSBUZ\x01": "not a cqrsbus",
    b"SSH-2.0-OpenSSH_9.6\r\n": "not a cqrsbus",
    b"\x00\x00\x00\x00": "not a cqrsbus",
}


def receive_nothing(receiver: Connection, *parts: bytes) -> None:
    for part in parts:
        receiver.receive_data(part)
        assert receiver.next_frame() is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("greeting", "word"), GREETINGS.items(), ids=[repr(each[:8]) for each in GREETINGS])
def test_strangers_are_told_apart_however_they_stutter(role: Role, greeting: bytes, word: str) -> None:
    reasons = set[str]()
    for cut in range(len(greeting)):
        receiver = connection(role)
        with pytest.raises(ProtocolError) as caught:
            receive_nothing(receiver, greeting[:cut], greeting[cut:])
        assert caught.value.code == Code.UNSUPPORTED
        assert receiver.peer_speaks_http == (word == "HTTP")
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
    assert word in reasons.pop()


@pytest.mark.parametrize("role", Role)
def test_nothing_is_kept_after_the_last_word(role: Role) -> None:
    receiver = connection(role, at=State.CLOSED)
    for _ in range(3):
        receiver.receive_data(Frame(Kind.PING).encode())
        assert receiver.next_frame() is None
    assert receiver._reader.at_boundary
    receiver.receive_eof()


@pytest.mark.parametrize("state", [State.OPENING, State.OPEN, State.CLOSED])
def test_only_who_greeted_is_welcomed(state: State) -> None:
    broker = connection(Role.BROKER, at=state)
    with pytest.raises(RuntimeError, match=state.name):
        broker.welcome()


@given(st.sampled_from(Role), st.sampled_from([State.OPENING, State.OPEN]), st.data())
def test_arbitrary_and_mutated_bytes_end_in_a_protocol_error_at_worst(
    role: Role, state: State, data: st.DataObject
) -> None:
    good = b"".join(frame.encode() for frame in data.draw(st.lists(frames(), min_size=1, max_size=3)))
    if state is State.OPENING:
        good = PREAMBLE + OPENING[role].encode() + good
    at, noise = data.draw(st.integers(0, len(good))), data.draw(st.binary(max_size=8))
    received = good[:at] + noise + good[at + data.draw(st.integers(0, 8)) :]
    receiver = connection(role, at=state)
    try:
        for part in data.draw(portions(received)):
            receiver.receive_data(part)
            take_all(receiver)
        receiver.receive_eof()
    except ProtocolError as error:
        code: int = error.code
    else:
        code = Code.BAD_FRAME
    assert 100 <= code < 200
    assert receiver.state is State.CLOSED
    assert receiver.next_frame() is None
