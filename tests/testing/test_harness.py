"""TestBus: buses that run as they are, and are left as they were."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus import (
    Bus,
    Call,
    Command,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
    Event,
    NextCall,
    NoHandlerError,
    Query,
    TopologyError,
)
from cqrsbus.bus.requirements import CheckMode
from cqrsbus.testing import TestBus

pytestmark = pytest.mark.anyio


class AddNote(Command, topic="note.add"):
    text: str


class NoteAdded(Event, topic="note.added"):
    text: str


class CountNotes(Query[int], topic="note.count"):
    pass


class Notes:
    """A service and one that listens to it."""

    def __init__(self) -> None:
        self.service, self.index = Bus("notes"), Bus("index")
        self.texts: list[str] = []
        self.service.command_handler()(self.add)
        self.service.query_handler()(self.count)
        self.index.event_handler()(self.note)

    async def add(self, command: AddNote) -> None:
        await self.service.publish(NoteAdded(text=command.text))

    async def count(self, query: CountNotes) -> int:
        return len(self.texts)

    async def note(self, event: NoteAdded) -> None:
        self.texts.append(event.text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


class TestItsBuses:
    async def test_share_one_broker(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, notes.index, broker=broker) as t:
                assert t.bus is notes.service
                assert {bus.url for bus in t.buses} == {t.url}
                await notes.index.send(AddNote(text="milk"))
                await t.idle()
                assert notes.texts == ["milk"]
                assert await t.bus.ask(CountNotes()) == 1

    async def test_are_left_as_they_were(self, notes: Notes, broker: str) -> None:
        bus = notes.service
        bus.url = "memory:production"
        before = dict(vars(bus))
        with anyio.fail_after(5):
            async with TestBus(bus, broker=broker):
                assert bus.url != "memory:production"
        assert vars(bus) == before

    async def test_one_that_had_no_url_has_none_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bus = Bus("a")
        with anyio.fail_after(5):
            async with TestBus(bus):
                pass
        monkeypatch.setenv("CQRSBUS_URL", "memory:later")
        assert bus.url == "memory:later"

    async def test_can_be_used_again_without_a_trace_of_before(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            test = TestBus(notes.service, notes.index, broker=broker)
            for _ in range(2):
                async with test as t:
                    t.faults.drop(CountNotes)
                    await t.bus.publish(NoteAdded(text="milk"))
                    await t.idle()
                    assert len(t.published) == len(t.handled) == 1

    async def test_can_be_used_again_after_a_test_that_failed(self, notes: Notes) -> None:
        with anyio.fail_after(5):
            with pytest.raises(AssertionError, match="too bad"):
                async with TestBus(notes.service):
                    raise AssertionError("too bad")
            async with TestBus(notes.service) as t:
                assert await t.bus.ask(CountNotes()) == 0

    async def test_one_that_runs_already_is_refused(self, notes: Notes) -> None:
        notes.service.url = "memory:"
        with anyio.fail_after(5):
            async with notes.service:
                with pytest.raises(RuntimeError, match="running"):
                    await TestBus(notes.index, notes.service).__aenter__()
            assert notes.index.status == notes.service.status == "closed"
            assert notes.service.url == "memory:"

    async def test_those_that_do_not_fit_together_are_refused(self, notes: Notes) -> None:
        other = Bus("other")
        other.command_handler()(notes.add)
        with anyio.fail_after(5), pytest.raises(TopologyError, match=r"note\.add"):
            await TestBus(notes.service, other).__aenter__()
        assert notes.service.status == other.status == "closed"

    def test_there_must_be_one(self) -> None:
        with pytest.raises(ValueError, match="needs a bus"):
            TestBus()

    def test_it_is_no_class_of_tests(self) -> None:
        assert not TestBus.__test__


class TestWhatItsBusesRequire:
    async def test_may_be_each_other(self, broker: str) -> None:
        one = Bus("one", requires=[CountNotes])
        other = Bus("other", requires=[AddNote], check="wait")

        @one.command_handler()
        async def add(command: AddNote) -> None: ...

        @other.query_handler()
        async def count(query: CountNotes) -> int:
            return 0

        with anyio.fail_after(5):
            async with TestBus(one, other, broker=broker) as t:
                assert await one.ask(CountNotes()) == 0
                assert await other.check() == []
                t.asked.one()

    @pytest.mark.parametrize("mode", ["error", "wait"])
    async def test_is_an_error_if_it_is_not_there(self, mode: CheckMode, broker: str) -> None:
        bus = Bus("one", requires=[CountNotes], check=mode)
        with anyio.fail_after(5):
            for _ in range(2):
                with pytest.raises(TopologyError, match=r"note\.count"):
                    await TestBus(bus, broker=broker).__aenter__()
                assert bus.status == "closed"

    async def test_is_not_if_the_test_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        bus = Bus("one", requires=[CountNotes])
        with anyio.fail_after(5):
            async with TestBus(bus, check="warn"):
                pass
            with pytest.raises(TopologyError):
                await TestBus(bus).__aenter__()
        assert "note.count" in caplog.text


class TestLeaving:
    async def test_waits_until_everything_is_done(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.index, notes.service, broker=broker) as t:
                for number in range(10):
                    await t.bus.send(AddNote(text=str(number)))
        assert notes.texts == [str(number) for number in range(10)]

    async def test_is_not_kept_by_a_handler_that_hangs(self, caplog: pytest.LogCaptureFixture) -> None:
        bus = Bus("a", drain_timeout=0.05)

        @bus.event_handler("hang")
        async def hang(_: None) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(5):
            async with TestBus(bus) as t:
                await bus.publish("hang", None)
        assert t.handled.one().outcome == "cancelled"
        assert "with work in flight after 0.05 s: None on hang by " in caplog.text
        assert bus._drain_timeout == 0.05

    async def test_is_not_kept_by_a_call_that_hangs(self, caplog: pytest.LogCaptureFixture) -> None:
        bus = Bus("a", drain_timeout=0.05)

        @bus.call_middleware
        async def hang(call: Call, call_next: NextCall) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                async with TestBus(bus):
                    tasks.start_soon(bus.publish, "a", None)
                    await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        assert "with work in flight after 0.05 s: no handler at work" in caplog.text

    async def test_by_cancellation(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            with anyio.move_on_after(0.05) as scope:
                async with TestBus(notes.service, broker=broker):
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            assert notes.service.status == "closed"


class TestFaults:
    async def test_a_lost_command(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(10):
            async with TestBus(notes.service, broker=broker) as t:
                fault = t.faults.drop(AddNote)
                with pytest.raises(DeliveryUnknownError):
                    await t.bus.send(AddNote(text="milk"), timeout=0.05)
                await t.bus.send(AddNote(text="milk"))
                await t.idle()
                assert fault.struck == len(t.handled(AddNote)) == 1

    async def test_a_lost_query(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, broker=broker) as t:
                t.faults.drop("note.count")
                with pytest.raises(DeadlineExceededError):
                    await t.bus.ask(CountNotes(), timeout=0.05)
                assert await t.bus.ask(CountNotes()) == 0

    async def test_lost_events_take_nothing_from_the_window(self, broker: str) -> None:
        bus, text = Bus("a"), "x" * 100_000
        with anyio.fail_after(10):
            async with TestBus(bus, broker=broker) as t:
                t.faults.drop("note.>", times=None)
                for _ in range(50):
                    await bus.publish(NoteAdded(text=text), timeout=None)
                await t.idle()

    async def test_a_late_message_is_overtaken_by_other_topics(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, notes.index, broker=broker) as t:
                t.faults.delay(NoteAdded, 1.0)
                await t.bus.publish(NoteAdded(text="milk"))
                assert await t.bus.ask(CountNotes()) == 0
                await t.idle()
                assert await t.bus.ask(CountNotes()) == 1

    async def test_a_lost_connection_comes_back_by_itself(self, notes: Notes, broker: str) -> None:
        client = Bus("client")
        with anyio.fail_after(5):
            async with TestBus(notes.service, client, broker=broker) as t:
                await t.disconnect(notes.service)
                assert notes.service.status == "reconnecting"
                assert client.status == "connected"
                with pytest.raises(NoHandlerError):
                    await client.ask(CountNotes())
                await notes.service.wait_connected()
                assert await client.ask(CountNotes()) == 0

    async def test_of_every_bus(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, notes.index, broker=broker) as t:
                await t.disconnect()
                assert {bus.status for bus in t.buses} == {"reconnecting"}
                assert await t.bus.ask(CountNotes()) == 0

    async def test_who_waits_for_an_answer_is_told(self, broker: str) -> None:
        bus, client, started = Bus("a"), Bus("client"), anyio.Event()

        @bus.query_handler()
        async def count(query: CountNotes) -> int:
            started.set()
            await anyio.sleep_forever()
            return 0

        async def ask() -> None:
            with pytest.raises(ConnectionLostError):
                await client.ask(CountNotes())

        with anyio.fail_after(5):
            async with TestBus(bus, client, broker=broker) as t:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await started.wait()
                    await t.disconnect(client)
                await t.idle()
                assert t.handled.one().outcome == "cancelled"

    async def test_a_partition(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, notes.index, broker=broker) as t:
                async with t.partition(notes.index):
                    await t.bus.publish(NoteAdded(text="lost"))
                    for _ in range(3):
                        await checkpoint()
                    await t.idle()
                    assert notes.index.status == "reconnecting"
                await t.bus.publish(NoteAdded(text="heard"))
                await t.idle()
                assert notes.texts == ["heard"]

    async def test_a_partition_in_another_waits_for_its_own_only(self, notes: Notes, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service, notes.index, broker=broker) as t:
                async with t.partition(notes.service):
                    async with t.partition(notes.index):
                        assert notes.index.status == "reconnecting"
                    assert (notes.service.status, notes.index.status) == ("reconnecting", "connected")
                    async with t.partition():
                        pass
                    assert (notes.service.status, notes.index.status) == ("reconnecting", "connected")
                assert notes.service.status == "connected"

    async def test_of_a_bus_that_takes_no_part(self, notes: Notes) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes.service) as t:
                with pytest.raises(ValueError, match="'index' takes no part"):
                    await t.disconnect(notes.index)
            with pytest.raises(ValueError, match="not running"):
                await t.disconnect()
