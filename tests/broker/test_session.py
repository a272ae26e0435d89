"""One session: its greeting, its limits, its last words; and that nobody else suffers from it."""

import logging
import socket
import struct
from collections.abc import AsyncIterator

import anyio
import pytest

from cqrsbus import Broker, BrokerLimits, Bus, Code, RoutingLimits
from cqrsbus.wire.connection import PREAMBLE
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import HEAD, Flag, Frame, Kind
from cqrsbus.wire.header import Fields, decode_header, encode_header
from tests.broker.raw import RawClient, hello, message, raw_client, subscribe

pytestmark = pytest.mark.anyio

#: Seconds; long enough for a machine that is busy with other things.
HEARTBEAT = 0.4


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[RawClient]:
    async with raw_client(broker.url) as client:
        yield client


@pytest.fixture
async def bystander(broker: Broker) -> AsyncIterator[Bus]:
    """Another client, which must notice nothing; asked before and after."""
    bus = Bus("bystander", broker.url)

    @bus.query_handler("bystander")
    async def answer(number: int) -> int:
        return number

    with anyio.fail_after(30):
        async with bus:
            yield bus
            assert await bus.ask("bystander", 5) == 5
            assert bus.status == "connected"


async def test_the_welcome_says_what_is_allowed(client: RawClient, limits: BrokerLimits) -> None:
    with anyio.fail_after(5):
        welcome = await client.greet()
    assert welcome["max_frame"] == limits.max_frame
    assert welcome["heartbeat"] == limits.heartbeat
    assert welcome["publish_window"] == limits.routing.publish_window
    assert isinstance(welcome["session"], int)


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n"])
async def test_an_http_client_is_told_in_http(client: RawClient, bystander: Bus, request_line: bytes) -> None:
    with anyio.fail_after(5):
        await client.stream.send(request_line + b"Host: x\r\n\r\n")
        answer = b""
        while chunk := await client.stream.receive():
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"not an HTTP server" in body


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        pytest.param(b"CQRSBUS\x02", Code.UNSUPPORTED, "version 2", id="version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", Code.UNSUPPORTED, "TLS", id="tls"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", Code.UNSUPPORTED, "not a cqrsbus client", id="ssh"),
        pytest.param(PREAMBLE + b"\0\0\0\0", Code.BAD_FRAME, "length", id="length-0"),
        pytest.param(PREAMBLE + struct.pack("!I", 4097), Code.FRAME_TOO_LARGE, "4096", id="opening-too-large"),
        pytest.param(PREAMBLE + b"\xff\xff\xff\xff", Code.FRAME_TOO_LARGE, "4096", id="length-max"),
        pytest.param(PREAMBLE + hello(service="a b").encode(), Code.BAD_FRAME, "service", id="service"),
        pytest.param(PREAMBLE + hello(instance="a\nb").encode(), Code.BAD_FRAME, "instance", id="instance"),
        pytest.param(PREAMBLE + hello(odd="x").encode(), Code.BAD_FRAME, "unknown", id="unknown-field"),
        pytest.param(PREAMBLE + 2 * hello().encode(), Code.UNEXPECTED_FRAME, "HELLO", id="hello-twice-at-once"),
        pytest.param(
            PREAMBLE + hello().encode() + message(Kind.ASK, "a").encode(),
            Code.UNEXPECTED_FRAME,
            "ASK",
            id="hello-and-more",
        ),
    ],
)
async def test_who_does_not_greet_as_a_client_should_is_told(
    client: RawClient, bystander: Bus, caplog: pytest.LogCaptureFixture, said: bytes, code: Code, reason: str
) -> None:
    with anyio.fail_after(5), caplog.at_level(logging.WARNING, "cqrsbus.broker"):
        await client.stream.send(said)
        refused_with, why = await client.expect_refusal()
    assert (refused_with, reason in why) == (code, True), why
    # A stranger does not fill the log.
    assert not caplog.records


_FIRST = [kind for kind in Kind if kind not in (Kind.HELLO, Kind.ERROR)]


@pytest.mark.parametrize("kind", _FIRST, ids=lambda kind: kind.name)
async def test_nothing_but_hello_may_come_first(client: RawClient, kind: Kind) -> None:
    with anyio.fail_after(5):
        await client.stream.send(PREAMBLE + Frame(kind).encode())
        assert (await client.expect_refusal())[0] == Code.UNEXPECTED_FRAME


def _head(*, length: int = 24, kind: int = Kind.SEND, flags: int = 0, stamp: int = 0, topic: int = 0) -> bytes:
    return HEAD.pack(length, kind, flags, stamp, topic, 0, 0, 0, 1, 0)


_DEEP: Fields = {"id": "m", "hdr": {"a": {"b": {"c": {"d": {"e": 1}}}}}}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param(hello().encode(), Code.UNEXPECTED_FRAME, id="hello-again"),
        pytest.param(_head(kind=0x7F), Code.UNEXPECTED_FRAME, id="unknown-kind"),
        pytest.param(_head(kind=Kind.DELIVER), Code.UNEXPECTED_FRAME, id="the-brokers-kind"),
        pytest.param(_head(flags=0x80), Code.BAD_FRAME, id="unknown-flag"),
        pytest.param(_head(length=23), Code.BAD_FRAME, id="short"),
        pytest.param(_head(topic=5), Code.BAD_FRAME, id="parts-longer-than-the-frame"),
        pytest.param(_head(length=25, stamp=1) + b"\x80", Code.BAD_FRAME, id="stamped"),
        pytest.param(struct.pack("!I", 1024 * 1024 - 3), Code.FRAME_TOO_LARGE, id="limit-and-1"),
        pytest.param(b"\xff\xff\xff\xff", Code.FRAME_TOO_LARGE, id="2^32-1"),
        pytest.param(Frame.of(Kind.SEND, topic=b"a", id=1).encode(), Code.BAD_FRAME, id="no-header"),
        pytest.param(Frame.of(Kind.SEND, topic=b"a", header=b"\xc1", id=1).encode(), Code.BAD_FRAME, id="garbage"),
        pytest.param(
            Frame.of(Kind.SEND, topic=b"a", header=b"\x82\xa2id\xa1m\xa2id\xa1m", id=1).encode(),
            Code.BAD_FRAME,
            id="twice",
        ),
        pytest.param(Frame.of(Kind.SEND, topic=b"a", header=b"\x81\x01\xa1m", id=1).encode(), Code.BAD_FRAME, id="int"),
        pytest.param(
            Frame.of(Kind.SEND, topic=b"a", header=b"\x81\xa2id\xa1\xff", id=1).encode(), Code.BAD_FRAME, id="utf-8"
        ),
        pytest.param(
            Frame.of(Kind.SEND, topic=b"a", header=b"\xdd\xff\xff\xff\xff", id=1).encode(), Code.BAD_FRAME, id="huge"
        ),
        pytest.param(
            Frame.of(Kind.SEND, topic=b"a", header=b"\x81\xa2id\xd4\x01\x00", id=1).encode(), Code.BAD_FRAME, id="ext"
        ),
        pytest.param(
            Frame.of(Kind.SEND, topic=b"a", header=encode_header(_DEEP), id=1).encode(), Code.BAD_FRAME, id="deep"
        ),
        pytest.param(message(Kind.SEND, "a", id=0).encode(), None, id="request-0-to-nobody"),
        pytest.param(Frame(Kind.ACK, id=1).encode(), Code.BAD_FRAME, id="ack-of-nothing"),
        pytest.param(Frame(Kind.REPLY, id=7).encode(), Code.BAD_FRAME, id="reply-to-nothing"),
        pytest.param(subscribe("event", "a", channel=0).encode(), Code.BAD_FRAME, id="channel-0"),
        pytest.param(subscribe("odd", "a").encode(), Code.BAD_FRAME, id="kind"),
        pytest.param(
            message(Kind.ASK, "a", flags=Flag.STREAM | Flag.EVERY).encode(), Code.UNSUPPORTED, id="not-served"
        ),
    ],
)
async def test_who_breaks_the_protocol_is_told_and_sent_away_alone(
    client: RawClient, bystander: Bus, said: bytes, code: Code | None
) -> None:
    with anyio.fail_after(5):
        await client.greet()
        await client.stream.send(said)
        if code is None:
            assert (await client.expect(Kind.REJECT)).detail == Code.NO_HANDLER
        else:
            assert (await client.expect_refusal())[0] == code
    assert await bystander.ask("bystander", 1) == 1


async def test_valid_traffic_split_into_single_bytes_is_the_same_traffic(client: RawClient) -> None:
    said = PREAMBLE + hello().encode() + b""
    with anyio.fail_after(20):
        for byte in said:
            await client.stream.send(bytes([byte]))
        await client.expect(Kind.WELCOME)
        for byte in subscribe("event", "a.*").encode() + message(Kind.PUBLISH, "a.b", b"body").encode():
            await client.stream.send(bytes([byte]))
        await client.expect(Kind.CONFIRM)
        assert (await client.expect(Kind.DELIVER)).body == b"body"


async def test_a_connection_cut_at_any_byte_is_one_connection_less(broker: Broker, bystander: Bus) -> None:
    said = PREAMBLE + hello().encode() + subscribe("command", "c").encode() + message(Kind.SEND, "c").encode()
    host, port = broker.url.removeprefix("tcp://").split(":")
    for reset in (False, True):
        for size in range(0, len(said) + 1, 3 if reset else 7):
            sock = socket.create_connection((host, int(port)))
            sock.sendall(said[:size])
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
    with anyio.fail_after(20):
        while broker.connections > 1:
            await bystander.ask("bystander", 1)
        # Nothing of it is left: the command's owner may be anybody.
        other = Bus("other", broker.url)

        @other.command_handler("c")
        async def do(number: int) -> None: ...

        async with other:
            await other.send("c", 1, wait=True)


class TestPatience:
    """Who does not introduce itself is not waited for."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(handshake_timeout=0.1, drain_timeout=0.1)

    @pytest.mark.parametrize("said", [b"", PREAMBLE[:3], PREAMBLE, PREAMBLE + hello().encode()[:-1]])
    async def test_a_slow_greeting(self, client: RawClient, said: bytes) -> None:
        with anyio.fail_after(5):
            if said:
                await client.stream.send(said)
            code, reason = await client.expect_refusal()
        assert code == Code.HANDSHAKE_TIMEOUT
        assert "0.1 s" in reason


class TestHeartbeat:
    """Who is there says so."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(heartbeat=HEARTBEAT, drain_timeout=0.1)

    async def test_a_silent_client_is_pinged_and_then_sent_away_in_time(self, client: RawClient) -> None:
        with anyio.fail_after(5):
            await client.greet()
            greeted = anyio.current_time()
            frame = await client.frame()
            assert frame is not None
            assert frame.kind == Kind.PING
            assert (await client.expect_refusal())[0] == Code.HEARTBEAT_LOST
            assert anyio.current_time() - greeted > 2 * HEARTBEAT

    async def test_a_client_that_pings_stays(self, client: RawClient) -> None:
        with anyio.fail_after(5):
            await client.greet()
            greeted = anyio.current_time()
            for number in (1, 2, 3):
                frame = await client.frame()
                assert frame is not None
                assert frame.kind == Kind.PING
                await client.send(Frame(Kind.PING, id=number))
                assert (await client.expect(Kind.PONG)).id == number
            assert anyio.current_time() - greeted > 2.5 * HEARTBEAT


class TestSlowReaders:
    """Who does not read is cut off at the cap, whatever fills it."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        # The clock must not be what cuts it off.
        return BrokerLimits(max_outbox=1024 * 1024, heartbeat=60, write_timeout=60, drain_timeout=0.1)

    async def test_pongs_count_too(self, client: RawClient, broker: Broker) -> None:
        async def ping_without_end() -> None:
            pings = Frame(Kind.PING, id=1).encode() * 2000
            while True:
                await client.stream.send(pings)

        with anyio.fail_after(20):
            await client.greet()
            with pytest.raises(anyio.BrokenResourceError):
                await ping_without_end()
            while broker.connections:
                await anyio.lowlevel.checkpoint()


class TestForeignMatters:
    """What belongs to one client is out of every other's reach."""

    async def test_a_reply_counts_once_and_only_from_who_was_asked(self, broker: Broker) -> None:
        async with (
            raw_client(broker.url) as asker,
            raw_client(broker.url) as handler,
            raw_client(broker.url) as thief,
        ):
            with anyio.fail_after(5):
                await asker.greet(instance="asker")
                await handler.greet(instance="handler")
                await thief.greet(instance="thief")
                await handler.send(subscribe("query", "q"))
                await handler.expect(Kind.CONFIRM)
                await asker.send(message(Kind.ASK, "q", id=9))
                delivery = await handler.expect(Kind.DELIVER)
                await thief.send(Frame.of(Kind.REPLY, id=delivery.id, body=b"stolen"))
                assert (await thief.expect_refusal())[0] == Code.BAD_FRAME
                await handler.send(
                    Frame.of(Kind.REPLY, id=delivery.id, body=b"first"),
                    Frame.of(Kind.REPLY, id=delivery.id, body=b"second"),
                    Frame(Kind.PING, id=1),
                )
                await handler.expect(Kind.PONG)
                reply = await asker.expect(Kind.REPLY)
                assert (reply.id, reply.body) == (9, b"first")
                await asker.send(Frame(Kind.PING, id=1))
                await asker.expect(Kind.PONG)
            assert broker.counters.late_replies == 1

    async def test_a_reply_after_the_asker_left_is_counted(self, broker: Broker) -> None:
        async with raw_client(broker.url) as asker, raw_client(broker.url) as handler:
            with anyio.fail_after(5):
                await asker.greet(instance="asker")
                await handler.greet(instance="handler")
                await handler.send(subscribe("query", "q"))
                await handler.expect(Kind.CONFIRM)
                await asker.send(message(Kind.ASK, "q", id=9))
                delivery = await handler.expect(Kind.DELIVER)
                await asker.send(Frame(Kind.CANCEL, id=9))
                assert (await handler.expect(Kind.CANCEL)).id == delivery.id
                await handler.send(Frame.of(Kind.REPLY, id=delivery.id), Frame(Kind.PING, id=1))
                await handler.expect(Kind.PONG)
            assert broker.counters.late_replies == 1

    async def test_the_sender_is_who_the_broker_says(self, client: RawClient, broker: Broker) -> None:
        with anyio.fail_after(5):
            await client.greet(service="honest")
            await client.send(subscribe("event", "e"))
            await client.expect(Kind.CONFIRM)
            forged = encode_envelope(Envelope("m", headers={"from": "admin", "sender": "admin"}))
            await client.send(Frame.of(Kind.PUBLISH, topic=b"e", header=forged, id=1))
            delivery = await client.expect(Kind.DELIVER)
        assert decode_header(delivery.stamp)["from"] == "honest"


class TestLimits:
    """What one connection may have."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(
            drain_timeout=0.1, routing=RoutingLimits(max_subscriptions=3, max_open_requests=2, publish_window=4096)
        )

    async def test_subscriptions(self, client: RawClient, bystander: Bus) -> None:
        with anyio.fail_after(5):
            await client.greet()
            for channel in range(1, 4):
                await client.send(subscribe("event", f"e{channel}", channel=channel, id=channel))
                await client.expect(Kind.CONFIRM)
            await client.send(subscribe("event", "e4", channel=4, id=4))
            assert (await client.expect(Kind.REJECT)).detail == Code.QUEUE_FULL
            await client.send(Frame(Kind.UNSUBSCRIBE, channel=1, id=5), subscribe("event", "e4", channel=4, id=6))
            assert (await client.expect(Kind.CONFIRM)).id == 5
            assert (await client.expect(Kind.CONFIRM)).id == 6

    async def test_open_requests(self, client: RawClient) -> None:
        with anyio.fail_after(5):
            await client.greet()
            await client.send(subscribe("query", "q"))
            await client.expect(Kind.CONFIRM)
            await client.send(*(message(Kind.ASK, "q", id=id) for id in (1, 2, 3)))
            await client.expect(Kind.DELIVER)
            await client.expect(Kind.DELIVER)
            refused = await client.expect(Kind.REJECT)
        assert (refused.id, refused.detail) == (3, Code.QUEUE_FULL)

    async def test_the_publish_window(self, client: RawClient) -> None:
        with anyio.fail_after(5):
            await client.greet()
            await client.send(subscribe("event", "e", messages=1))
            await client.expect(Kind.CONFIRM)
            await client.send(message(Kind.PUBLISH, "e", b"x" * 3000))
            await client.expect(Kind.DELIVER)
            await client.expect(Kind.CREDIT)
