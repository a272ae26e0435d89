"""The tcp transport: names, addresses and ports."""

import errno
import socket
from typing import Any

import anyio
import pytest

from cqrsbus.errors import ConnectError, ListenError
from cqrsbus.transports import connect, listen, tcp
from cqrsbus.transports.socket_stream import SocketStream
from tests.ports import held_port

pytestmark = pytest.mark.anyio


async def test_small_frames_leave_at_once() -> None:
    with anyio.fail_after(5):
        listener = await listen("tcp://127.0.0.1:0")
        client = await connect(listener.url)
        accepted = await listener.accept()
        for stream in (client, accepted):
            assert isinstance(stream, SocketStream)
            assert stream._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            stream.close()
        listener.close()


async def test_the_accepted_peer_has_the_port_of_the_one_that_connected() -> None:
    with anyio.fail_after(5):
        listener = await listen("tcp://127.0.0.1:0")
        host, port = listener.url.removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port))) as client:
            accepted = await listener.accept()
            assert accepted.peer == f"tcp://127.0.0.1:{client.getsockname()[1]}"
            accepted.close()
        listener.close()


async def test_a_host_name_is_looked_up() -> None:
    with anyio.fail_after(5):
        listener = await listen("tcp://localhost:0")
        client = await connect(listener.url)
        accepted = await listener.accept()
        await client.send(b"x")
        assert await accepted.receive() == b"x"
        assert listener.url.startswith("tcp://localhost:")
        for closable in (client, accepted, listener):
            closable.close()


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two_addresses(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "broker.test"
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(anyio, "getaddrinfo", two_addresses)
    with anyio.fail_after(5):
        listener = await listen("tcp://127.0.0.1:0")
        port = listener.url.rpartition(":")[2]
        client = await connect(f"tcp://broker.test:{port}")
        assert client.peer == listener.url
        client.close()
        listener.close()
        with pytest.raises(ConnectError, match=r"::1: Connection refused; 127\.0\.0\.1: Connection refused"):
            await connect(f"tcp://broker.test:{port}")


async def test_an_address_that_does_not_answer_is_given_up_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "ANSWER_TIMEOUT", 0.05)
    # A full backlog leaves the next connection unanswered.
    with socket.socket() as full, socket.socket() as good:
        for server, backlog in ((full, 0), (good, 1)):
            server.bind(("127.0.0.1", 0))
            server.listen(backlog)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname()) for server in (full, good)]

        async def addresses(*_: Any, **__: Any) -> list[Any]:
            return found

        monkeypatch.setattr(anyio, "getaddrinfo", addresses)
        with socket.create_connection(full.getsockname()), anyio.fail_after(5):
            client = await connect("tcp://broker.test:1")
            assert client.peer == f"tcp://127.0.0.1:{good.getsockname()[1]}"
            client.close()
            del found[1]
            with pytest.raises(ConnectError, match=r"127\.0\.0\.1: no answer within 0\.05 s"):
                await connect("tcp://broker.test:1")


async def test_an_unknown_name_is_a_connect_error_naming_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)
    with anyio.fail_after(5):
        with pytest.raises(ConnectError, match=r"cannot connect to tcp://broker\.test:1: .*not known"):
            await connect("tcp://broker.test:1")
        with pytest.raises(ListenError, match=r"cannot listen on tcp://broker\.test:1: .*not known"):
            await listen("tcp://broker.test:1")


async def test_a_name_too_long_to_look_up_is_a_connect_error() -> None:
    with anyio.fail_after(5), pytest.raises(ConnectError, match="cannot connect to tcp://xxx"):
        await connect(f"tcp://{'x' * 70}.test:1")


async def test_both_families_listen_on_one_port_side_by_side() -> None:
    with anyio.fail_after(5):
        with held_port("::", "0.0.0.0") as port:
            first = await listen(f"tcp://[::]:{port}")
            second = await listen(f"tcp://0.0.0.0:{port}")
        client = await connect(f"tcp://127.0.0.1:{port}")
        accepted = await second.accept()
        for closable in (client, accepted, first, second):
            closable.close()


async def test_a_port_just_left_is_free_again() -> None:
    with anyio.fail_after(5):
        listener = await listen("tcp://127.0.0.1:0")
        client = await connect(listener.url)
        accepted = await listener.accept()
        accepted.close()  # the side that closes first is the one whose port lingers
        assert await client.receive() == b""
        client.close()
        listener.close()
        again = await listen(listener.url)
        again.close()


async def test_port_0_is_for_listening_only() -> None:
    with anyio.fail_after(5), pytest.raises(ConnectError, match="port 0 is for listening only"):
        await connect("tcp://127.0.0.1:0")


async def test_a_connection_to_oneself_counts_as_refused() -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    where = sock.getsockname()
    with anyio.fail_after(5), pytest.raises(ConnectionRefusedError):
        await tcp.dial(sock, where)
    assert sock.fileno() == -1


async def test_a_cancelled_connect_leaves_no_socket_open() -> None:
    # A full backlog leaves the next connection unanswered.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):
            sock = socket.socket()
            with anyio.move_on_after(0.05) as scope:
                await tcp.dial(sock, server.getsockname())
            assert scope.cancelled_caught
            assert sock.fileno() == -1


def test_a_peer_that_left_at_once_leaves_no_socket_open() -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *args: object) -> None:
            raise OSError(errno.EINVAL, "it has left")

    with Refusing() as sock:
        with pytest.raises(OSError, match="it has left"):
            tcp._stream(sock, ("127.0.0.1", 1))
        assert sock.fileno() == -1
