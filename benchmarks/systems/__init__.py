"""The systems by name; a peer is imported when it is used, so that one which is not installed does no harm."""

import os
from importlib import import_module
from importlib.util import find_spec

from benchmarks.systems.port import System

OURS = "cqrsbus, uvloop"
NATS = "nats-py, bytes"
FASTSTREAM = "FastStream, NATS"
JETSTREAM = "JetStream, memory"
ASYNCIO = "cqrsbus, asyncio"
TRIO = "cqrsbus, trio"

_PLACES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    OURS: ("ours", "Ours", ("uvloop",)),
    ASYNCIO: ("ours", "Ours", ("asyncio",)),
    TRIO: ("ours", "Ours", ("trio",)),
    NATS: ("nats_bytes", "NatsBytes", ()),
    "nats-py, typed": ("nats_typed", "NatsTyped", ()),
    FASTSTREAM: ("faststream_nats", "FastStreamNats", ()),
    JETSTREAM: ("nats_bytes", "JetStream", ()),
    "pyzmq, bytes": ("zmq_proxy", "ZmqProxy", ()),
    "redis-py, bytes": ("redis_pubsub", "RedisPubSub", ()),
    "aio-pika, bytes": ("rabbitmq", "RabbitMq", ()),
}


def system(name: str, *options: str) -> System:
    """The system of this name.

    Args:
        name: One of :func:`names`.
        options: What its server is started with beyond the defaults.
    """
    module, factory, arguments = _PLACES[name]
    made: System = getattr(import_module(f"benchmarks.systems.{module}"), factory)(*arguments, *options)
    return made


def missing(name: str) -> str | None:
    """Why a system cannot be measured here; None if it can."""
    module = _PLACES[name][0]
    needs = {"faststream_nats": "faststream", "zmq_proxy": "zmq", "redis_pubsub": "redis", "rabbitmq": "aio_pika"}
    if module in needs and find_spec(needs[module]) is None:
        return f"{needs[module]} is not installed"
    if module == "rabbitmq" and "CQRSBUS_BENCH_AMQP" not in os.environ:
        return "CQRSBUS_BENCH_AMQP does not name a RabbitMQ"
    if module == "redis_pubsub":
        from benchmarks.systems.redis_pubsub import find_redis_server

        return None if find_redis_server() else "there is no redis-server"
    return None


def names() -> list[str]:
    """Every system's name, ours first."""
    return list(_PLACES)
