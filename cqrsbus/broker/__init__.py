"""The broker: accepts connections, and carries out what the router decides."""

from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.broker.server import Broker

__all__ = ["Broker", "BrokerLimits"]
