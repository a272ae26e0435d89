"""A bus by itself: its name, its broker, and what it refuses when."""

from collections.abc import AsyncIterator

import anyio
import pytest

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import ConnectError, InvalidMessageError, TopologyError
from cqrsbus.links.port import LinkStatus
from cqrsbus.transports.url import DEFAULT_URL

pytestmark = pytest.mark.anyio


class TestItsName:
    def test_instances_of_one_service_have_names_of_their_own(self) -> None:
        one, two = Bus("mailer"), Bus("mailer")
        assert one.name == two.name == "mailer"
        assert one.instance != two.instance

    def test_without_a_name_it_is_a_service_of_its_own(self) -> None:
        assert Bus().name != Bus().name

    @pytest.mark.parametrize("name", ["a b", "a/b", "ä", "x" * 65, "a\n"])
    def test_a_malformed_name(self, name: str) -> None:
        with pytest.raises(ValueError, match="service name"):
            Bus(name)


class TestItsBroker:
    def test_the_url_is_given_or_in_the_environment_or_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given, open_ = Bus("a", "memory:given"), Bus("a")
        assert (given.url, open_.url) == ("memory:given", DEFAULT_URL)
        monkeypatch.setenv("CQRSBUS_URL", "memory:environment")
        assert (given.url, open_.url) == ("memory:given", "memory:environment")
        open_.url = "memory:chosen"
        assert open_.url == "memory:chosen"

    async def test_it_cannot_be_changed_while_the_bus_is_running(self) -> None:
        bus = Bus("a", "memory:")
        with anyio.fail_after(5):
            async with bus:
                with pytest.raises(RuntimeError, match="running"):
                    bus.url = "memory:other"
        bus.url = "memory:other"

    async def test_a_malformed_url_is_found_on_entering(self) -> None:
        bus = Bus("a", "carrier-pigeon:")
        with anyio.fail_after(5), pytest.raises(ValueError, match="carrier-pigeon"):
            await bus.__aenter__()
        assert bus.status is LinkStatus.CLOSED

    def test_an_unknown_codec(self) -> None:
        with pytest.raises(InvalidMessageError, match="known are msgpack, json"):
            Bus("a", codec="pickle")


class TestItsStatus:
    async def test_from_closed_to_closed(self) -> None:
        bus = Bus("a", "memory:")
        assert bus.status == "closed"
        with anyio.fail_after(5):
            async with bus:
                assert bus.status == "connected"
                await bus.wait_connected()
            assert bus.status == "closed"
            with pytest.raises(RuntimeError, match="needs a running bus"):
                await bus.wait_connected()

    async def test_a_bus_that_could_not_be_entered_can_be_tried_again(self) -> None:
        bus = Bus("a", "unix:///nowhere/at/all", connect_timeout=0.05)
        with anyio.fail_after(5):
            for _ in range(2):
                with pytest.raises(ConnectError, match=r"not connected to unix:///nowhere/at/all within 0\.05 s: "):
                    await bus.__aenter__()
                assert bus.status == "closed"
            bus.url = "memory:"
            async with bus:
                assert bus.status == "connected"

    async def test_it_is_entered_once_at_a_time(self) -> None:
        bus = Bus("a", "memory:")
        with anyio.fail_after(5):
            async with bus:
                with pytest.raises(RuntimeError, match="running already"):
                    await bus.__aenter__()
                assert bus.status == "connected"


class TestItsHandlers:
    async def test_they_are_declared_before_it_runs(self) -> None:
        bus, late = Bus("a", "memory:"), HandlerGroup()

        async def handle(number: int) -> None: ...

        late.command_handler("c")(handle)
        with anyio.fail_after(5):
            async with bus:
                with pytest.raises(TopologyError, match="running already"):
                    bus.event_handler("e")(handle)
                with pytest.raises(TopologyError, match="running already"):
                    bus.include(late)
        assert bus.handlers == ()

    async def test_a_type_that_cannot_be_carried_is_found_before_it_connects(self) -> None:
        bus = Bus("a", "unix:///nowhere/at/all")

        @bus.command_handler("c")
        async def handle(stream: AsyncIterator[int]) -> None: ...

        with anyio.fail_after(5), pytest.raises(InvalidMessageError, match="handle"):
            await bus.__aenter__()

    async def test_one_that_the_broker_refuses_ends_entering_naming_the_owner(self) -> None:
        buses = [Bus(name, "memory:refusal") for name in ("owner", "second")]
        for bus in buses:

            @bus.command_handler("c")
            async def handle(number: int) -> None: ...

        owner, second = buses
        with anyio.fail_after(5):
            async with owner:
                with pytest.raises(TopologyError, match="'owner'"):
                    await second.__aenter__()
            async with second:
                await second.send("c", 1, wait=True)


class TestLeaving:
    async def test_work_that_does_not_end_in_time_is_cancelled_and_what_waits_behind_it_never_starts(self) -> None:
        bus, started, handled = Bus("a", "memory:", drain_timeout=0.05), anyio.Event(), list[int]()

        @bus.event_handler("e")
        async def handle(number: int) -> None:
            started.set()
            if number == 1:
                await anyio.sleep_forever()
            handled.append(number)

        with anyio.fail_after(5):
            async with bus:
                await bus.publish("e", 1)
                await bus.publish("e", 2)
                await started.wait()
        assert handled == []

    async def test_a_handler_may_still_call_while_the_bus_is_left(self) -> None:
        bus, started, answers = Bus("a", "memory:late-call"), anyio.Event(), list[int]()
        other = Bus("b", "memory:late-call")

        @other.query_handler("q")
        async def answer(number: int) -> int:
            return number

        @bus.event_handler("e")
        async def handle(number: int) -> None:
            started.set()
            answers.append(await bus.ask("q", number, returns=int))

        with anyio.fail_after(5):
            async with other, bus:
                await bus.publish("e", 1)
                await started.wait()
        assert answers == [1]

    async def test_what_the_body_raises_leaves_as_it_is(self) -> None:
        error = LookupError()
        with anyio.fail_after(5), pytest.raises(LookupError) as caught:
            async with Bus("a", "memory:"):
                raise error
        assert caught.value is error

    async def test_who_listens_hears_the_end(self) -> None:
        bus, heard = Bus("a", "memory:"), list[int]()

        async def listen(ready: anyio.Event) -> None:
            async with bus.subscribe("e", int) as numbers:
                ready.set()
                heard.extend([number async for number in numbers])
            heard.append(-1)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks, bus:
                ready = anyio.Event()
                tasks.start_soon(listen, ready)
                await ready.wait()
                await bus.publish("e", 1)
        assert heard == [1, -1]
