"""What a call may have left behind: looked for in the broker, in the links, in the buses and in the process."""

import os
import sys
from collections.abc import Iterator

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus import Broker
from cqrsbus.broker import embedded
from cqrsbus.bus.consumer import Consumer
from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.routing.router import Router
from tests.integration.sweep.quiet import quiet
from tests.integration.sweep.world import World

#: What is being cleared away is gone within so many turns of the event loop.
TURNS = 5_000


class Audit:
    """Compares a world with what it was when this was made.

    Args:
        world: At rest.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = _counts(world)

    async def nothing_is_left(self) -> None:
        """Let everything come to rest, find nothing left, and find that all of it still works."""
        await self.at_rest()
        await self._world.prove_alive()
        await self.at_rest()
        await quiet()
        self._world.journal.check()

    async def at_rest(self) -> None:
        """Wait for what is still under way; fail if something stays."""
        with anyio.fail_after(20):
            await self._world.flush()
            for _ in range(TURNS):
                if not self._left():
                    return
                await checkpoint()
        raise AssertionError(f"left behind: {self._left()}")

    def _left(self) -> dict[str, object]:
        now = _counts(self._world)
        changed = {f"{name} (were {count})": now[name] for name, count in self._before.items() if now[name] != count}
        return {**changed, **{name: value for name, value in _debts(self._world) if value}}


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def _counts(world: World) -> dict[str, int]:
    """What was there before, and is no debt."""
    topology = world.router._topology
    return {
        "tasks": len(anyio.get_running_tasks()) - sum(consumer._crew.workers for consumer in world.consumers),
        "files": open_files(),
        "clients": len(world.router._peers),
        "subscriptions": sum(len(peer.subscriptions) for peer in world.router._peers.values()),
        "subscriptions, as the links know them": sum(len(link._subscriptions) for link in world.links),
        "event groups": len(topology._event_groups),
        "listening": sum(len(bus._listening) for bus in world.buses),
    }


def _debts(world: World) -> Iterator[tuple[str, object]]:
    """What must be nothing when all is at rest."""
    yield from _debts_of_router(world.router)
    for link in world.links:
        yield from _debts_of_link(link)
    for consumer in world.consumers:
        yield from _debts_of_consumer(consumer)
    yield "handlers running", world.journal.running
    yield "credit not returned", sum(_credit_out(world, link) for link in world.links)


def _debts_of_router(router: Router) -> Iterator[tuple[str, object]]:
    yield "deadlines of the broker", len(router._deadlines)
    for peer in router._peers.values():
        yield "open requests", peer.requests
        yield "unsettled deliveries", peer.deliveries
        yield "publishers held back", peer.held_by
        for subscription in peer.subscriptions.values():
            group = subscription.group
            yield "messages for one member waiting", subscription.addressed
            yield "messages waiting", group.waiting
            yield "bytes waiting", group.queued_bytes
            yield "publishers that a group holds back", group.held
            if not group.is_broadcast:
                yield "messages in hand", subscription.in_hand
                yield "bytes in hand", subscription.in_hand_bytes


def _debts_of_link(link: BrokerLink) -> Iterator[tuple[str, object]]:
    calls = link._calls
    yield "open calls", calls._calls
    yield "calls waiting for a place", calls._waiting
    yield "deadlines of calls", len(calls._deadlines)
    yield "deliveries in hand", link._conversation._incoming.deliveries if link._conversation else None


def _debts_of_consumer(consumer: Consumer) -> Iterator[tuple[str, object]]:
    yield "deliveries waiting for a worker", len(consumer._waiting)
    yield "workers busy", consumer._crew.workers - len(consumer._crew._resting)


def _credit_out(world: World, link: BrokerLink) -> int:
    """Credit and window that neither side has: what the broker counts as out and the link has not kept to itself."""
    number = next(number for number, peer in world.router._peers.items() if peer.instance == _instance_of(world, link))
    peer = world.router._peers[number]
    out = abs(link._window._used - peer.unreturned)
    for subscription in peer.subscriptions.values():
        if subscription.group.is_broadcast:
            kept = link._subscriptions[subscription.channel]
            out += abs(subscription.in_hand - kept._messages) + abs(subscription.in_hand_bytes - kept._bytes)
    return out


def _instance_of(world: World, link: BrokerLink) -> str:
    return next(bus.instance for bus in world.buses if bus._link is link)


class Rest:
    """Compares a broker without clients, and the process, with what they were when this was made.

    Args:
        broker: A running broker, at rest.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._before = self._counts()

    async def nothing_is_left(self) -> None:
        """Let everything come to rest; fail if something stays."""
        for _ in range(TURNS):
            if self._counts() == self._before:
                await quiet()
                return
            await checkpoint()
        raise AssertionError(f"left behind: {self._counts()}, and not {self._before}")

    def _counts(self) -> dict[str, int]:
        assert self._broker._exchange is not None
        router = self._broker._exchange.router
        return {
            "tasks": len(anyio.get_running_tasks()),
            "files": open_files(),
            "clients": len(router._peers),
            "connections": self._broker.connections,
            "open requests": router.open_requests,
            "deadlines": len(router._deadlines),
            "exchanges": len(embedded._names()),
        }
