"""What every transport promises of its listeners, run over each of them on each backend."""

from contextlib import suppress

import anyio
import pytest
from anyio import fail_after, wait_all_tasks_blocked

from cqrsbus.errors import ConnectError
from cqrsbus.transports import ByteStream, Listener, connect, listen
from tests.transports.exchange import Pair

pytestmark = pytest.mark.anyio


async def test_peers_are_named_by_url(listener: Listener, pair: Pair) -> None:
    here, there = pair
    assert here.peer == listener.url
    assert there.peer.partition(":")[0] == listener.url.partition(":")[0]
    assert here.peer in repr(here)
    assert listener.url in repr(listener)


async def test_the_url_is_one_to_connect_to(listener: Listener, url: str) -> None:
    assert not listener.url.endswith(":0")
    assert listener.url.rpartition(":")[0] == url.rpartition(":")[0]


async def test_connections_are_made_before_they_are_accepted_and_come_in_order(listener: Listener) -> None:
    with fail_after(5):
        clients = [await connect(listener.url) for _ in range(5)]
        for number, client in enumerate(clients):
            await client.send(bytes([number]))
        for number, client in enumerate(clients):
            accepted = await listener.accept()
            assert await accepted.receive() == bytes([number])
            accepted.close()
            client.close()


async def test_a_waiting_accept_gets_the_connection(listener: Listener) -> None:
    accepted: list[ByteStream] = []

    async def accept() -> None:
        accepted.append(await listener.accept())

    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            await wait_all_tasks_blocked()
            client = await connect(listener.url)
            await client.send(b"x")
            client.close()
        assert await accepted[0].receive() == b"x"
    accepted[0].close()


async def test_a_cancelled_accept_loses_no_connection(listener: Listener) -> None:
    with fail_after(5):
        with anyio.move_on_after(0.01) as scope:
            await listener.accept()
        assert scope.cancelled_caught
        client = await connect(listener.url)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await listener.accept()
        assert scope.cancelled_caught
        accepted = await listener.accept()
        await client.send(b"x")
        assert await accepted.receive() == b"x"
    client.close()
    accepted.close()


async def test_one_task_accepts_at_a_time(listener: Listener) -> None:
    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.accept)
            await wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await listener.accept()
            tasks.cancel_scope.cancel()


async def test_closing_a_listener_wakes_a_waiting_accept(listener: Listener) -> None:
    async def accept() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()

    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            await wait_all_tasks_blocked()
            listener.close()
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()
        listener.close()
        await listener.aclose()


async def test_closing_a_listener_spares_accepted_connections_and_ends_the_others(listener: Listener) -> None:
    with fail_after(5):
        kept = await connect(listener.url)
        accepted = await listener.accept()
        dropped = await connect(listener.url)
        listener.close()
        await kept.send(b"alive")
        assert await accepted.receive() == b"alive"
        with suppress(anyio.BrokenResourceError):  # the system may say it either way
            assert await dropped.receive() == b""
        with pytest.raises(ConnectError):
            await connect(listener.url)
    for stream in (kept, accepted, dropped):
        stream.close()


async def test_nobody_listens_after_closing_and_the_place_is_free_again(url: str) -> None:
    with fail_after(5):
        first = await listen(url)
        await first.aclose()
        with pytest.raises(ConnectError) as caught:
            await connect(first.url)
        assert first.url in str(caught.value)
        again = await listen(first.url)
        assert again.url == first.url
        again.close()


async def test_a_place_that_is_taken_is_refused(listener: Listener) -> None:
    with fail_after(5):
        with pytest.raises(ConnectError) as caught:
            await listen(listener.url)
        assert listener.url in str(caught.value)
        client = await connect(listener.url)
        client.close()


async def test_a_cancelled_connect_raises_nothing_else(listener: Listener) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        (await connect(listener.url)).close()
    assert scope.cancelled_caught
