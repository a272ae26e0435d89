"""The check that services fit together: what this bus needs against what the handlers that are there declare.

The rules:

1. Handlers are asked for through the broker, which keeps what their buses have said of them; no handler is run.
2. A handler that has said nothing intelligible is there, and its types are not judged.
3. A bus that requires something looks when it is entered, its own handlers serving already. What does not fit keeps it
   from starting (``error``), is logged (``warn``), or is looked at again until it fits or the time is up (``wait``):
   so two services that need each other, or a version that is being rolled out, find each other.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from cqrsbus.bus.handler import Handler
from cqrsbus.bus.manifest import Manifest
from cqrsbus.bus.requirements import CheckMode
from cqrsbus.contracts.contract import Contract, decode_contracts
from cqrsbus.contracts.judge import Finding, judge
from cqrsbus.errors import ConnectError, ConnectionLostError, DeadlineExceededError, TopologyError
from cqrsbus.links.backoff import FullJitter
from cqrsbus.links.port import Described, Link

if TYPE_CHECKING:
    from cqrsbus.bus.bus import Bus

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 1.0


def check_buses(*buses: "Bus") -> list[Finding]:
    """Check from their declarations alone that services fit together; none has to be running.

    Args:
        buses: All services that there will be; of several instances of one service, one.

    Returns:
        What does not fit: a handler that is missing, a second owner of a command, a schema that breaks.

    Raises:
        InvalidMessageError: A declared type cannot be carried at all.
    """
    required = [each for bus in buses for each in bus._manifest.required()]
    return judge(required, [each for bus in buses for each in bus._manifest.handled(bus.handlers)])


async def look(link: Link, manifest: Manifest, handlers: Sequence[Handler], *, timeout: float | None) -> list[Finding]:
    """Compare what a bus needs, and the queries it answers, with the handlers that are there.

    Args:
        link: Where to ask.
        manifest: What the bus declares.
        handlers: Its own handlers.
        timeout: Seconds that it may take in all; None for no limit.

    Raises:
        DeadlineExceededError: The broker did not answer in time.
        ConnectionLostError: The connection was lost meanwhile.
    """
    required = manifest.required()
    answered = [each for each in handlers if each.kind.value == "query"]
    topics = [*((each.kind, each.topic) for each in required), *((each.kind.value, each.topic) for each in answered)]
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    found: list[tuple[str, str, Described]] = []
    for kind, topic in dict.fromkeys(topics):
        left = None if deadline == math.inf else max(0.0, deadline - anyio.current_time())
        found += [(kind, topic, each) for each in await link.describe(kind, topic, timeout=left)]
    # What others declare may be as odd as it likes: comparing it must not keep the event loop from turning.
    return await to_thread.run_sync(_judge, required, found, abandon_on_cancel=True)


async def insist(look: Callable[[float], Awaitable[list[Finding]]], mode: CheckMode, deadline: float) -> None:
    """Look, and do with what is found as the mode says.

    Args:
        look: Finds what does not fit; takes the seconds that are left.
        mode: What to do then.
        deadline: When to look no more, on the clock of ``anyio.current_time()``.

    Raises:
        TopologyError: Something does not fit; it lists everything.
        ConnectError: It could not be found out in time.
    """
    backoff, last = FullJitter(cap=_LONGEST_PAUSE), list[Finding]()
    while True:
        error = None
        try:
            findings = await look(max(0.0, deadline - anyio.current_time()))
        except (DeadlineExceededError, ConnectionLostError) as failure:
            findings, error = last, failure
        if not findings and error is None:
            return None
        if mode == "warn":
            return _warn(findings, error)
        pause = backoff.next_pause()
        if mode == "error" or anyio.current_time() + pause >= deadline:
            raise _refusal(findings, error)
        if findings != last:
            log.info("waiting for what is required:%s", _listed(findings))
        last = findings
        await anyio.sleep(pause)


def _judge(required: Sequence[Contract], found: Sequence[tuple[str, str, Described]]) -> list[Finding]:
    return judge(required, [contract for each in found for contract in _contracts(*each)])


def _contracts(kind: str, topic: str, described: Described) -> list[Contract]:
    service, name = described.instance
    # The broker knows best what it listens to.
    contracts = [replace(each, kind=kind, topic=topic) for each in decode_contracts(described.contract, service)]
    return contracts or [Contract(kind=kind, topic=topic, message=None, place=f"instance {name}", service=service)]


def _warn(findings: Sequence[Finding], error: Exception | None) -> None:
    if error is not None:
        log.warning("it could not be checked that services fit together: %s", error)
    for finding in findings:
        log.warning("services do not fit together: %s", finding)


def _refusal(findings: Sequence[Finding], error: Exception | None) -> Exception:
    if findings:
        return TopologyError(f"services do not fit together:{_listed(findings)}")
    return ConnectError(f"it could not be checked that services fit together: {error}")


def _listed(findings: Sequence[Finding]) -> str:
    return "".join(f"\n- {finding}" for finding in findings)
