"""Every public call, cancelled at each point where it can be: nothing is left behind, and the next call works."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import pytest
import sniffio

from cqrsbus import Broker
from cqrsbus.links.backoff import FullJitter
from tests.integration import test_cancel_handlers
from tests.integration.sweep.audit import Audit, Rest
from tests.integration.sweep.calls import CALLS, Row
from tests.integration.sweep.lives import LIVES, Life
from tests.integration.sweep.points import Call, Means, Moment, Prepare, cancel_everywhere, until
from tests.integration.sweep.world import running_world

pytestmark = pytest.mark.anyio

_names = count(1)


@pytest.fixture(params=["tcp", "memory"])
def listen_url(request: pytest.FixtureRequest) -> str:
    """Over a socket, and without."""
    return "tcp://127.0.0.1:0" if request.param == "tcp" else f"memory:sweep-{next(_names)}"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back without a pause after a loss: the points are to be the same in every run."""
    monkeypatch.setattr(FullJitter, "next_pause", lambda _: 0.0)


@pytest.mark.parametrize("means", Means, ids=lambda means: means.value)
@pytest.mark.parametrize("row", CALLS, ids=str)
async def test_a_cancelled_call_leaves_nothing(
    listen_url: str, row: Row, means: Means, record_property: Callable[[str, object], None]
) -> None:
    with anyio.fail_after(60):
        async with running_world(listen_url) as world:
            audit = Audit(world)
            await audit.nothing_is_left()
            points = await _sweep(means, partial(row.prepare, world), audit.nothing_is_left, row.at_least)
    record_property("points", points)


@pytest.mark.parametrize("means", Means, ids=lambda means: means.value)
@pytest.mark.parametrize("life", LIVES, ids=str)
async def test_a_cancelled_life_leaves_nothing(
    listen_url: str, life: Life, means: Means, record_property: Callable[[str, object], None]
) -> None:
    with anyio.fail_after(60):
        async with Broker(listen_url) as broker:
            await life.live(broker.url)
            await until(lambda: not broker.connections, "the last client has gone")
            rest = Rest(broker)
            points = await _sweep(means, partial(_living, life, broker.url), rest.nothing_is_left, life.at_least)
    record_property("points", points)


async def _sweep(means: Means, prepare: Prepare, check: Callable[[], Awaitable[None]], at_least: int) -> int:
    if means is Means.NATIVE and sniffio.current_async_library() == "trio":
        # Anyio's scopes are made of these: they need not be swept twice.
        moments, at_least = [Moment.WAITING], 1
    else:
        moments = list(Moment)
    points = sum([await cancel_everywhere(means, moment, prepare, check) for moment in moments])
    assert points >= at_least
    return points


@asynccontextmanager
async def _living(life: Life, url: str) -> AsyncGenerator[Call]:
    yield partial(life.live, url)


def test_the_documentation_states_no_more_points_than_there_are() -> None:
    page = Path(__file__).parents[2] / "docs" / "concepts" / "structured-concurrency.md"
    stated = re.search(r"at least ([\d,]+) points", page.read_text("utf-8"))
    assert stated is not None
    # Two places; two loops of asyncio, each by both means, and trio; what is short there is not counted.
    swept = 2 * 5 * sum(each.at_least for each in (*CALLS, *LIVES))
    # Two places, three backends, two ways to leave.
    handlers = 2 * 3 * 2 * len(test_cancel_handlers.KINDS) * test_cancel_handlers.AT_LEAST
    assert int(stated[1].replace(",", "")) <= swept + handlers
