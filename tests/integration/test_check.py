"""Services check that they fit together when they start, and whenever they are asked to."""

import logging
from typing import Any

import anyio
import pytest
from pydantic import create_model

from cqrsbus import Bus, Command, Event, Problem, Query, TopologyError, check_buses

pytestmark = pytest.mark.anyio


class Store(Command, topic="mail.store"):
    subject: str


class Find(Query[list[str]], topic="mail.find"):
    word: str


class Stored(Event, topic="mail.stored"):
    number: int


class OldFind(Query[list[int]], topic="mail.find"):
    words: str


def mail(url: str, **options: Any) -> Bus:
    bus = Bus("mail", url, **options)

    @bus.command_handler()
    async def store(command: Store) -> None: ...

    @bus.query_handler()
    async def find(query: Find) -> list[str]:
        return [query.word]

    return bus


async def test_what_is_required_is_there(url: str) -> None:
    with anyio.fail_after(10):
        async with mail(url), Bus("web", url, requires=[Store, Find, Stored]) as web:
            assert await web.check() == []
            assert await web.ask(Find(word="a")) == ["a"]


async def test_a_missing_handler_keeps_a_bus_from_starting(url: str) -> None:
    web = Bus("web", url, requires=[Store, Find, Stored])
    with anyio.fail_after(10), pytest.raises(TopologyError) as caught:
        async with web:
            pytest.fail("it started")
    text = str(caught.value)
    assert "missing handler for 'mail.store': no service handles this command" in text
    assert "missing handler for 'mail.find': no service handles this query" in text
    assert "test_check.py:" in text
    assert "mail.stored" not in text
    assert web.status == "closed"


async def test_it_can_be_entered_again_once_they_are_there(url: str) -> None:
    web = Bus("web", url, requires=[Find])
    with anyio.fail_after(10):
        # The broker of a URL inside the process lives as long as somebody is there.
        async with Bus("other", url):
            with pytest.raises(TopologyError):
                await web.__aenter__()
            async with mail(url), web:
                assert await web.ask(Find(word="a")) == ["a"]


async def test_schemas_that_break_are_told_with_both_places(url: str) -> None:
    with anyio.fail_after(10):
        async with mail(url, version="2.0"), Bus("web", url, requires=[OldFind], check="warn") as web:
            first, second = await web.check()
    assert (first.problem, first.topic, first.reason) == (
        Problem.BREAK,
        "mail.find",
        "word is required, and not written",
    )
    assert second.reason == "in the answer, [] is written as string, and read as integer"
    needed, handled = first.places
    assert needed.startswith("web: ")
    assert "OldFind (" in needed
    assert handled.startswith("mail 2.0: ")
    assert "find (" in handled


async def test_warnings_let_it_start(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with anyio.fail_after(10):
        async with Bus("web", url, requires=[Find], check="warn") as web:
            assert [each.problem for each in await web.check()] == [Problem.MISSING]
    (record,) = [each for each in caplog.records if each.name == "cqrsbus.bus.checking"]
    assert record.levelno == logging.WARNING
    assert "missing handler for 'mail.find'" in record.getMessage()


async def test_two_services_that_need_each_other_wait_for_each_other(url: str) -> None:
    class Count(Query[int], topic="web.count"):
        word: str

    web = Bus("web", url, requires=[Find], check="wait")
    count = mail(url, requires=[Count], check="wait")

    @web.query_handler()
    async def answer(query: Count) -> int:
        return len(await web.ask(Find(word=query.word)))

    both = anyio.Event()
    done: list[Bus] = []

    async def serve(bus: Bus) -> None:
        async with bus:
            done.append(bus)
            if len(done) == 2:
                assert await count.ask(Count(word="a")) == 1
                both.set()
            await both.wait()

    with anyio.fail_after(20):
        async with Bus("other", url), anyio.create_task_group() as tasks:
            tasks.start_soon(serve, web)
            tasks.start_soon(serve, count)
    assert len(done) == 2


async def test_waiting_for_what_never_comes_ends_with_the_time(url: str) -> None:
    web = Bus("web", url, requires=[Find], check="wait", connect_timeout=0.5)
    with anyio.fail_after(10), pytest.raises(TopologyError, match="missing handler"):
        async with web:
            pytest.fail("it started")


async def test_cancelling_a_wait_leaves_nothing_behind(url: str) -> None:
    web = Bus("web", url, requires=[Find], check="wait")
    with anyio.fail_after(10):
        async with Bus("other", url) as other:
            with anyio.move_on_after(0.2) as scope:
                await web.__aenter__()
            assert scope.cancelled_caught
            assert web.status == "closed"
            assert await other.check() == []


async def test_while_a_version_is_rolled_out_both_are_told(url: str) -> None:
    newer = Bus("mail", url, version="3.0")

    @newer.query_handler("mail.find")
    async def find(query: OldFind) -> list[int]:
        return [1]

    with anyio.fail_after(10):
        async with mail(url, version="2.0"), newer, Bus("web", url, requires=[OldFind], check="warn") as web:
            found = await web.check()
        assert {each.places[1].partition(":")[0] for each in found} == {"mail 2.0"}


async def test_two_services_that_answer_differently_are_told_to_both(url: str) -> None:
    rival = Bus("rival", url)

    @rival.query_handler("mail.find")
    async def find(query: Find) -> list[str | int]:
        return []

    with anyio.fail_after(10):
        async with mail(url) as first, rival:
            for bus in (first, rival):
                assert [each.problem for each in await bus.check()] == [Problem.DIFFERENT]


async def test_every_listener_of_an_event_is_compared(url: str) -> None:
    one, two = Bus("one", url), Bus("two", url)

    @one.event_handler("mail.*", group="g")
    async def hear_text(event: dict[str, str]) -> None: ...

    @one.event_handler("mail.*", group="g")
    async def hear_number(event: dict[str, int]) -> None: ...

    @two.event_handler(">")
    async def hear_any(event: Any) -> None: ...

    with anyio.fail_after(10):
        async with one, two, Bus("mail", url, requires=[Stored], check="warn") as bus:
            (found,) = await bus.check()
    assert "hear_text" in found.places[1]


async def test_a_subscription_made_while_running_says_nothing_and_is_not_judged(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("mail", url, requires=[Stored]) as bus, bus.subscribe("mail.>", dict[str, str]):
            assert await bus.check() == []


async def test_schemas_too_large_to_be_told_are_not_judged(url: str) -> None:
    wide = create_model("Wide", **{f"field{number}": (int, ...) for number in range(1000)})  # type: ignore[call-overload]  # made of names
    bus = Bus("mail", url)

    async def store(command: Any) -> None: ...

    store.__annotations__["command"] = wide
    bus.command_handler("mail.store")(store)
    with anyio.fail_after(10):
        async with bus, Bus("web", url, requires=[Store]) as web:
            assert await web.check() == []
    assert check_buses(bus, web)


async def test_what_is_required_may_be_handled_by_the_bus_itself(url: str) -> None:
    with anyio.fail_after(10):
        async with mail(url, requires=[Find]) as bus:
            assert await bus.check() == []


async def test_contracts_come_and_go_with_their_services(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("web", url, requires=[Find], check="warn") as web:
            for _ in range(2):
                async with mail(url):
                    assert await web.check() == []
                assert len(await web.check()) == 1
