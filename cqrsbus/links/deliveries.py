"""A delivery of any kind, for what is compiled."""

from typing import TypeAlias

from cqrsbus.links.broker_delivery import BrokerDelivery
from cqrsbus.links.event_delivery import EventDelivery
from cqrsbus.links.port import Delivery

#: A :class:`~cqrsbus.links.port.Delivery`. Two classes are named, which are ones anyhow, for what is compiled: it knows
#: where these keep what it asks for. What it knows by the protocol alone is looked up by name each time.
AnyDelivery: TypeAlias = EventDelivery | BrokerDelivery | Delivery
