"""Whether a link is connected, as seen by those who wait for it."""

import logging
import math

import anyio
import pytest

from cqrsbus.errors import ConnectionLostError, DeadlineExceededError
from cqrsbus.links.line import Line
from cqrsbus.links.line_waits import wait_connected
from cqrsbus.links.port import LinkStatus
from cqrsbus.transports.outbox import Outbox
from tests.links.channels import FakeChannel

pytestmark = pytest.mark.anyio


async def test_all_who_wait_are_let_through_when_it_is_connected() -> None:
    line, channel, found = Line("tcp://x"), FakeChannel(), list[object]()

    async def wait() -> None:
        found.append(await wait_connected(line, math.inf, "t"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            line.note("refused")
            line.set_status(LinkStatus.RECONNECTING)
            await anyio.wait_all_tasks_blocked()
            assert found == []
            line.connect(channel)
    assert found == [channel] * 3
    assert (line.status, line.last_error) == (LinkStatus.CONNECTED, "")


async def test_a_closed_one_lets_nobody_wait() -> None:
    line = Line("tcp://x")
    line.set_status(LinkStatus.CLOSED)
    with pytest.raises(ConnectionLostError, match="closed") as caught:
        await wait_connected(line, math.inf, "t")
    assert caught.value.topic == "t"


@pytest.mark.parametrize(("error", "text"), [("", "not connected to tcp://x"), ("refused", "tcp://x: refused")])
async def test_who_has_no_time_learns_why_it_is_not_connected(error: str, text: str) -> None:
    line = Line("tcp://x")
    if error:
        line.note(error)
    with pytest.raises(DeadlineExceededError, match=text) as caught:
        await wait_connected(line, anyio.current_time() + 0.01, "t")
    assert caught.value.stage == "connect"


def test_it_says_what_the_channel_takes_that_it_has_now() -> None:
    line = Line("tcp://x")
    for max_frame, max_header in ((4096, 256), (1024, 64)):
        channel = FakeChannel(max_frame=max_frame, max_header=max_header)
        channel.outbox = Outbox(lambda: None, lambda: None, None)
        line.connect(channel)
        assert (line.channel, line.max_frame, line.max_header) == (channel, max_frame, max_header)
        assert line.outbox is channel.outbox
        line.disconnect()
        assert line.channel is None
        assert line.outbox is None


def test_one_cause_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "cqrsbus")
    line = Line("tcp://x")
    for error in ("refused", "refused", "no route"):
        line.note(error)
    assert [record.getMessage() for record in caplog.records] == [
        "not connected to tcp://x: refused",
        "not connected to tcp://x: no route",
    ]
