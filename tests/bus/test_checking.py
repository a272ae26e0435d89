from collections.abc import Callable, Sequence

import anyio
import pytest

from cqrsbus import Bus, ConnectError, ConnectionLostError, Finding, Problem, TopologyError
from cqrsbus.bus.checking import insist
from cqrsbus.bus.requirements import CheckMode

pytestmark = pytest.mark.anyio

WRONG = Finding(problem=Problem.MISSING, topic="a", reason="no service handles this command", places=("web: x",))
OTHER = Finding(problem=Problem.BREAK, topic="b", reason="size is required, and not written")


class Look:
    """Finds one thing after the other, and at last always the last."""

    def __init__(self, *found: Sequence[Finding] | Exception) -> None:
        self.found = list(found)
        self.times = 0

    async def __call__(self, left: float) -> list[Finding]:
        assert left >= 0
        await anyio.lowlevel.checkpoint()
        found = self.found[min(self.times, len(self.found) - 1)]
        self.times += 1
        if isinstance(found, Exception):
            raise found
        return list(found)


async def check(look: Look, mode: CheckMode, seconds: float = 60.0) -> None:
    with anyio.fail_after(10):
        await insist(look, mode, anyio.current_time() + seconds)


@pytest.mark.parametrize("mode", ["error", "warn", "wait"])
async def test_nothing_follows_where_all_is_well(mode: CheckMode, caplog: pytest.LogCaptureFixture) -> None:
    look = Look([])
    await check(look, mode)
    assert look.times == 1
    assert caplog.records == []


async def test_an_error_lists_everything() -> None:
    with pytest.raises(TopologyError) as caught:
        await check(Look([WRONG, OTHER]), "error")
    assert str(caught.value) == (
        "topology error: services do not fit together:\n"
        "- missing handler for 'a': no service handles this command [web: x]\n"
        "- schema break for 'b': size is required, and not written"
    )


async def test_a_warning_tells_each(caplog: pytest.LogCaptureFixture) -> None:
    await check(Look([WRONG, OTHER]), "warn")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "missing handler for 'a'" in caplog.text


async def test_waiting_looks_again_until_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="cqrsbus")
    look = Look([WRONG, OTHER], [WRONG], [WRONG], [])
    await check(look, "wait")
    assert look.times == 4
    assert [record.message.count("\n- ") for record in caplog.records] == [2, 1]


async def test_waiting_ends_with_the_time() -> None:
    look = Look([WRONG], [OTHER])
    with pytest.raises(TopologyError, match="schema break"):
        await check(look, "wait", 0.3)
    assert look.times > 1


LOST = ConnectionLostError("gone")


async def test_waiting_outlives_a_lost_connection() -> None:
    look = Look(LOST, [WRONG], LOST, [])
    await check(look, "wait")
    assert look.times == 4


@pytest.mark.parametrize(
    ("mode", "seconds", "found"), [("error", 60, [LOST]), ("wait", 0, [LOST]), ("wait", 0.2, [LOST, LOST])]
)
async def test_what_could_not_be_found_out_is_an_error_of_its_own(
    mode: CheckMode, seconds: float, found: list[Exception]
) -> None:
    with pytest.raises(ConnectError, match="could not be checked that services fit together: the connection was lost"):
        await check(Look(*found), mode, seconds)


async def test_what_could_not_be_found_out_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    await check(Look(LOST), "warn")
    assert "could not be checked" in caplog.text


@pytest.mark.parametrize("mode", ["", "never", None])
async def test_there_are_three_modes(mode: CheckMode) -> None:
    with pytest.raises(ValueError, match="check is one of 'error', 'warn', 'wait'"):
        Bus("a", check=mode)


@pytest.mark.parametrize("call", [Bus.check])
async def test_only_a_running_bus_is_checked(call: Callable[[Bus], object]) -> None:
    with pytest.raises(RuntimeError, match=r"bus\.check\(\) needs a running bus"):
        await Bus("a").check()
