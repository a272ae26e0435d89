"""The memory transport: names, event loops and the backlog."""

import anyio
import anyio.to_thread
import pytest

from cqrsbus.errors import ConnectError
from cqrsbus.transports import connect, listen

pytestmark = pytest.mark.anyio


async def test_memory_alone_is_no_place_to_meet() -> None:
    with anyio.fail_after(5):
        for attempt in (listen, connect):
            with pytest.raises(ValueError, match=r"expected memory:NAME \('memory:' alone is for a Bus"):
                await attempt("memory:")


async def test_nobody_is_there_without_a_listener() -> None:
    with anyio.fail_after(5), pytest.raises(ConnectError, match="cannot connect to memory:nobody"):
        await connect("memory:nobody")


async def test_names_are_apart() -> None:
    with anyio.fail_after(5):
        first, second = await listen("memory:a"), await listen("memory:b")
        client = await connect("memory:b")
        await client.send(b"x")
        accepted = await second.accept()
        assert await accepted.receive() == b"x"
        with anyio.move_on_after(0.01) as scope:
            await first.accept()
        assert scope.cancelled_caught
        for closable in (client, accepted, first, second):
            closable.close()


async def test_two_event_loops_never_meet(anyio_backend: tuple[str, dict[str, bool]]) -> None:
    name, options = anyio_backend

    async def elsewhere() -> str:
        with pytest.raises(ConnectError):
            await connect("memory:shared")
        listener = await listen("memory:shared")
        listener.close()
        return listener.url

    with anyio.fail_after(10):
        here = await listen("memory:shared")
        url = await anyio.to_thread.run_sync(lambda: anyio.run(elsewhere, backend=name, backend_options=options))
        assert url == "memory:shared"
        client = await connect("memory:shared")
        client.close()
        here.close()


async def test_connecting_waits_while_the_backlog_is_full() -> None:
    with anyio.fail_after(5):
        listener = await listen("memory:busy", backlog=2)
        streams = [await connect("memory:busy"), await connect("memory:busy")]
        async with anyio.create_task_group() as tasks:

            async def late() -> None:
                streams.append(await connect("memory:busy"))

            tasks.start_soon(late)
            await anyio.wait_all_tasks_blocked()
            assert len(streams) == 2
            (await listener.accept()).close()
        assert len(streams) == 3
        for stream in streams:
            stream.close()
        listener.close()


async def test_closing_the_listener_refuses_who_waits_to_connect() -> None:
    with anyio.fail_after(5):
        listener = await listen("memory:busy", backlog=1)
        first = await connect("memory:busy")

        async def late() -> None:
            with pytest.raises(ConnectError, match="the listener closed"):
                await connect("memory:busy")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late)
            await anyio.wait_all_tasks_blocked()
            listener.close()
        assert await first.receive() == b""
        first.close()
