"""The bus: handlers, calls, and everything that knows what a message is."""

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

__all__ = [
    "Bus",
    "Call",
    "CallMiddleware",
    "Context",
    "DependencyOverrides",
    "Depends",
    "FailedInstance",
    "Gathering",
    "Handler",
    "HandlerGroup",
    "HandlerKind",
    "Handling",
    "HandlingMiddleware",
    "NextCall",
    "NextHandling",
    "Stream",
    "Subscription",
    "SyncBus",
    "SyncGathering",
    "check_buses",
    "get_context",
]
