"""Commands, queries and events between Python processes, with a broker in the box."""

import logging
import typing

from cqrsbus import lazy
from cqrsbus.errors import (
    AuthError,
    BusError,
    Code,
    ConnectError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
    HandlerLostError,
    InvalidMessageError,
    InvalidTopicError,
    ListenError,
    NoHandlerError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    QueueFullError,
    QuorumError,
    RemoteError,
    TopologyError,
)
from cqrsbus.version import __version__

if typing.TYPE_CHECKING:
    from cqrsbus.broker.limits import BrokerLimits
    from cqrsbus.broker.server import Broker
    from cqrsbus.bus.blocking import SyncBus, SyncGathering
    from cqrsbus.bus.bus import Bus
    from cqrsbus.bus.checking import check_buses
    from cqrsbus.bus.context import Context, get_context
    from cqrsbus.bus.depends import DependencyOverrides, Depends
    from cqrsbus.bus.gathering import FailedInstance, Gathering
    from cqrsbus.bus.handler import Handler, HandlerKind
    from cqrsbus.bus.middleware import Call, CallMiddleware, Handling, HandlingMiddleware, NextCall, NextHandling
    from cqrsbus.bus.registry import HandlerGroup
    from cqrsbus.bus.stream import Stream
    from cqrsbus.bus.subscription import Subscription
    from cqrsbus.contracts.judge import Finding, Problem
    from cqrsbus.links.port import Instance, LinkStatus
    from cqrsbus.messages import Command, Event, Query
    from cqrsbus.routing.limits import RoutingLimits

__all__ = [
    "AuthError",
    "Broker",
    "BrokerLimits",
    "Bus",
    "BusError",
    "Call",
    "CallMiddleware",
    "Code",
    "Command",
    "ConnectError",
    "ConnectionLostError",
    "Context",
    "DeadlineExceededError",
    "DeliveryUnknownError",
    "DependencyOverrides",
    "Depends",
    "Event",
    "FailedInstance",
    "Finding",
    "Gathering",
    "Handler",
    "HandlerGroup",
    "HandlerKind",
    "HandlerLostError",
    "Handling",
    "HandlingMiddleware",
    "Instance",
    "InvalidMessageError",
    "InvalidTopicError",
    "LinkStatus",
    "ListenError",
    "NextCall",
    "NextHandling",
    "NoHandlerError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Problem",
    "ProtocolError",
    "Query",
    "QueueFullError",
    "QuorumError",
    "RemoteError",
    "RoutingLimits",
    "Stream",
    "Subscription",
    "SyncBus",
    "SyncGathering",
    "TopologyError",
    "__version__",
    "check_buses",
    "get_context",
]

# Where the interpreter finds what is imported above for type checkers alone: a program pays for what it uses.
_HOMES = {
    "Broker": "cqrsbus.broker.server",
    "BrokerLimits": "cqrsbus.broker.limits",
    "Bus": "cqrsbus.bus.bus",
    "Call": "cqrsbus.bus.middleware",
    "CallMiddleware": "cqrsbus.bus.middleware",
    "Command": "cqrsbus.messages",
    "Context": "cqrsbus.bus.context",
    "DependencyOverrides": "cqrsbus.bus.depends",
    "Depends": "cqrsbus.bus.depends",
    "Event": "cqrsbus.messages",
    "FailedInstance": "cqrsbus.bus.gathering",
    "Finding": "cqrsbus.contracts.judge",
    "Gathering": "cqrsbus.bus.gathering",
    "Handler": "cqrsbus.bus.handler",
    "HandlerGroup": "cqrsbus.bus.registry",
    "HandlerKind": "cqrsbus.bus.handler",
    "Handling": "cqrsbus.bus.middleware",
    "HandlingMiddleware": "cqrsbus.bus.middleware",
    "Instance": "cqrsbus.links.port",
    "LinkStatus": "cqrsbus.links.port",
    "NextCall": "cqrsbus.bus.middleware",
    "NextHandling": "cqrsbus.bus.middleware",
    "Problem": "cqrsbus.contracts.judge",
    "Query": "cqrsbus.messages",
    "RoutingLimits": "cqrsbus.routing.limits",
    "Stream": "cqrsbus.bus.stream",
    "Subscription": "cqrsbus.bus.subscription",
    "SyncBus": "cqrsbus.bus.blocking",
    "SyncGathering": "cqrsbus.bus.blocking",
    "check_buses": "cqrsbus.bus.checking",
    "get_context": "cqrsbus.bus.context",
}

# To type checkers every name would be there with it, misspelt ones too.
if not typing.TYPE_CHECKING:
    __getattr__ = lazy.importer(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# A library is quiet until its application configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())
