"""A test that claims a backend really runs on it."""

import asyncio

import anyio
import pytest
import sniffio
import trio.lowlevel
import uvloop

pytestmark = pytest.mark.anyio


def running_backend() -> str:
    """Tell by the running loop itself, not by what was asked for."""
    if sniffio.current_async_library() == "trio":
        trio.lowlevel.current_trio_token()  # raises outside of trio
        return "trio"
    loop = asyncio.get_running_loop()
    return "asyncio+uvloop" if isinstance(loop, uvloop.Loop) else "asyncio"


async def test_the_backend_in_the_tests_id_is_the_one_that_runs(request: pytest.FixtureRequest) -> None:
    asked_for: str = request.node.callspec.id
    assert asked_for in {"asyncio", "asyncio+uvloop", "trio"}
    assert running_backend() == asked_for


async def test_async_fixtures_run_on_the_same_backend(backend_of_a_fixture: str) -> None:
    assert backend_of_a_fixture == running_backend()


@pytest.fixture
async def backend_of_a_fixture() -> str:
    return running_backend()


async def test_tasks_run_on_the_same_backend() -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.append(running_backend())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
    assert seen == [running_backend()]
