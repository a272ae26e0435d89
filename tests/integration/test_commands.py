"""Commands: one owner, one instance of it, and a sender who knows what became of it."""

from collections import Counter

import anyio
import pytest

from cqrsbus import (
    BrokerLimits,
    Bus,
    Command,
    Context,
    DeadlineExceededError,
    InvalidMessageError,
    NoHandlerError,
    QueueFullError,
    RemoteError,
    RoutingLimits,
    TopologyError,
)

pytestmark = pytest.mark.anyio


class NewEmail(Command, topic="event.email.new"):
    subject: str


async def test_a_command_is_handled_once_by_its_owner(url: str) -> None:
    bus, handled = Bus("mailer", url), list[str]()

    @bus.command_handler()
    async def receive(command: NewEmail, ctx: Context) -> None:
        handled.append(f"{ctx.sender}: {command.subject}")

    with anyio.fail_after(10):
        async with bus, Bus("sender", url) as sender:
            await sender.send(NewEmail(subject="one"), wait=True)
            await sender.send("event.email.new", NewEmail(subject="two"), wait=True)
            await sender.send("event.email.new", {"subject": "three"}, wait=True)
    assert handled == ["sender: one", "sender: two", "sender: three"]


async def test_a_send_is_confirmed_before_it_is_handled(url: str) -> None:
    bus, release, done = Bus("mailer", url), anyio.Event(), anyio.Event()

    @bus.command_handler()
    async def receive(command: NewEmail) -> None:
        await release.wait()
        done.set()

    with anyio.fail_after(10):
        async with bus:
            await bus.send(NewEmail(subject="one"))
            assert not done.is_set()
            release.set()
            await done.wait()


async def test_a_second_service_is_refused_naming_both(url: str) -> None:
    owner, other = Bus("mailer", url), Bus("intruder", url)

    @owner.command_handler()
    async def receive(command: NewEmail) -> None: ...

    @other.command_handler()
    async def receive_too(command: NewEmail) -> None: ...

    with anyio.fail_after(10):
        async with owner:
            with pytest.raises(TopologyError) as caught:
                await other.__aenter__()
            assert other.status == "closed"
            assert owner.status == "connected"
        assert caught.value.topic == "event.email.new"
        assert "'mailer'" in str(caught.value)
        assert "'intruder'" in str(caught.value)
        # The topic is free again once its owner has left.
        async with other:
            await other.send(NewEmail(subject="mine"), wait=True)


async def test_instances_of_one_service_compete_in_turn(url: str) -> None:
    buses, handled = [Bus("mailer", url) for _ in range(3)], Counter[str]()
    for bus in buses:

        @bus.command_handler()
        async def receive(command: NewEmail, instance: str = bus.instance) -> None:
            handled[instance] += 1

    with anyio.fail_after(10):
        async with buses[0], buses[1], buses[2], Bus("sender", url) as sender:
            for _ in range(9):
                await sender.send(NewEmail(subject="one"), wait=True)
    assert sorted(handled.values()) == [3, 3, 3]


async def test_the_least_busy_instance_comes_first(url: str) -> None:
    buses, order, busy, release = [Bus("mailer", url) for _ in range(2)], list[int](), anyio.Event(), anyio.Event()
    for index, bus in enumerate(buses):

        @bus.command_handler()
        async def receive(command: NewEmail, index: int = index) -> None:
            order.append(index)
            if command.subject == "long":
                busy.set()
                await release.wait()

    with anyio.fail_after(10):
        async with buses[0], buses[1], Bus("sender", url) as sender:
            await sender.send(NewEmail(subject="long"))
            await busy.wait()
            for _ in range(5):
                await sender.send(NewEmail(subject="short"), wait=True)
            release.set()
    assert order[1:] == [1 - order[0]] * 5


async def test_commands_of_one_sender_are_handled_in_order(url: str) -> None:
    bus, handled = Bus("mailer", url), list[int]()

    @bus.command_handler("count")
    async def count(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(number)

    with anyio.fail_after(30):
        async with bus, Bus("sender", url) as sender:
            for number in range(500):
                await sender.send("count", number)
            await sender.send("count", 500, wait=True)
    assert handled == list(range(501))


async def test_who_waits_is_told_what_the_handler_raised(url: str) -> None:
    bus = Bus("mailer", url)

    @bus.command_handler()
    async def receive(command: NewEmail) -> None:
        raise LookupError(command.subject)

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises(RemoteError) as caught:
                await bus.send(NewEmail(subject="lost"), wait=True)
            with pytest.raises(InvalidMessageError):
                await bus.send("event.email.new", 7, wait=True)
            await bus.send("event.email.new", 7)  # who does not wait is not
    assert (caught.value.type, caught.value.message) == ("LookupError", "lost")


async def test_a_command_to_oneself_from_its_own_handler_ends_at_the_deadline(url: str) -> None:
    bus = Bus("mailer", url)

    @bus.command_handler("loop")
    async def loop(depth: int) -> None:
        await bus.send("loop", depth + 1, wait=True, timeout=0.1)

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises((RemoteError, DeadlineExceededError)):
                await bus.send("loop", 0, wait=True, timeout=5)
            assert bus.status == "connected"


async def test_a_sender_that_leaves_does_not_stop_accepted_work(url: str) -> None:
    bus, started, release, done = Bus("mailer", url), anyio.Event(), anyio.Event(), anyio.Event()

    @bus.command_handler()
    async def receive(command: NewEmail) -> None:
        started.set()
        await release.wait()
        done.set()

    with anyio.fail_after(10):
        async with bus, Bus("sender", url) as sender, anyio.create_task_group() as tasks:

            async def send() -> None:
                await sender.send(NewEmail(subject="one"), wait=True)

            tasks.start_soon(send)
            await started.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                release.set()
                await done.wait()


async def test_a_sender_that_leaves_stops_work_that_asks_for_it(url: str) -> None:
    bus, started, stopped = Bus("mailer", url), anyio.Event(), anyio.Event()

    @bus.command_handler(on_cancel="cancel")
    async def receive(command: NewEmail) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    with anyio.fail_after(10):
        async with bus, Bus("sender", url) as sender:
            async with anyio.create_task_group() as tasks:

                async def send() -> None:
                    await sender.send(NewEmail(subject="one"), wait=True)

                tasks.start_soon(send)
                await started.wait()
                tasks.cancel_scope.cancel()
            await stopped.wait()


async def test_what_was_not_started_goes_to_another_instance_when_one_leaves(url: str) -> None:
    commands, handled, everybody = 20, list[tuple[str, int]](), anyio.Event()
    leaving, staying = Bus("mailer", url, drain_timeout=0), Bus("mailer", url)
    started = anyio.Event()

    @leaving.command_handler("count")
    async def hang(number: int) -> None:
        started.set()
        await anyio.sleep_forever()

    @staying.command_handler("count")
    async def count(number: int) -> None:
        handled.append(("staying", number))
        if len(handled) == commands - 1:
            everybody.set()

    entered, leave = anyio.Event(), anyio.Event()

    async def serve_and_leave() -> None:
        async with leaving:
            entered.set()
            await leave.wait()

    with anyio.fail_after(10):
        async with Bus("sender", url) as sender, anyio.create_task_group() as tasks:
            tasks.start_soon(serve_and_leave)
            await entered.wait()
            for number in range(commands):
                await sender.send("count", number)
            await started.wait()
            async with staying:
                leave.set()
                await everybody.wait()
    assert [number for _, number in handled] == list(range(1, commands))


class TestFullQueue:
    """What waits for a handler is bounded, and the sender is told."""

    @pytest.fixture
    def place(self) -> str:
        return "tcp"

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(drain_timeout=0.1, routing=RoutingLimits(max_credit_messages=1, max_queue_messages=2))

    async def test_the_sender_is_told(self, url: str) -> None:
        bus, release, results = Bus("mailer", url), anyio.Event(), list[str]()

        @bus.command_handler("count")
        async def count(number: int) -> None:
            await release.wait()
            results.append(f"handled {number}")

        async def send(sender: Bus, number: int) -> None:
            try:
                await sender.send("count", number)
                results.append(f"confirmed {number}")
            except QueueFullError:
                results.append(f"refused {number}")
                release.set()

        with anyio.fail_after(10):
            async with bus, Bus("sender", url) as sender, anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(send, sender, number)
        confirmed = {result.split()[1] for result in results if result.startswith("confirmed")}
        handled = {result.split()[1] for result in results if result.startswith("handled")}
        assert len([result for result in results if result.startswith("refused")]) == 1
        assert len(confirmed) == 3
        assert handled == confirmed


async def test_a_send_that_no_handler_was_free_for_in_time_is_never_handled(url: str) -> None:
    credit = 64
    bus, release, handled = Bus("mailer", url), anyio.Event(), list[int]()

    @bus.command_handler("count")
    async def count(number: int) -> None:
        await release.wait()
        handled.append(number)

    with anyio.fail_after(10):
        async with bus, Bus("sender", url) as sender:
            for number in range(credit):
                await sender.send("count", number)
            with pytest.raises(DeadlineExceededError):
                await sender.send("count", credit, timeout=0.05)
            release.set()
            await sender.send("count", credit + 1, wait=True)
    assert handled == [*range(credit), credit + 1]


async def test_the_last_handler_that_leaves_takes_the_queue_with_it(url: str) -> None:
    bus, started, errors = Bus("mailer", url, drain_timeout=0), anyio.Event(), list[Exception]()

    @bus.command_handler("count")
    async def count(number: int) -> None:
        started.set()
        await anyio.sleep_forever()

    async def send(sender: Bus) -> None:
        with pytest.raises(NoHandlerError) as caught:
            await sender.send("count", 64)
        errors.append(caught.value)

    with anyio.fail_after(10):
        async with Bus("sender", url) as sender, anyio.create_task_group() as tasks, bus:
            for number in range(64):
                await sender.send("count", number)
            await started.wait()
            tasks.start_soon(send, sender)
            with pytest.raises(NoHandlerError):
                await sender.ask("tick", 1)  # the waiting command arrived before this
    assert len(errors) == 1
