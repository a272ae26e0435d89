"""``cqrsbus send``, ``ask`` and ``publish``: one call from the command line."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn
from uuid import uuid4

import typer

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.codec import JSON
from cqrsbus.cli import options
from cqrsbus.cli.client import with_bus
from cqrsbus.cli.failures import UsageError, interrupted, reporting
from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.output import print_line, print_value, to_json
from cqrsbus.cli.running import Stop
from cqrsbus.cli.settings import load_settings
from cqrsbus.errors import InvalidMessageError
from cqrsbus.topics import validate_topic


class _Call(NamedTuple):
    """What is to be called, and with what."""

    topic: str
    message: object
    headers: dict[str, str]
    timeout: float
    message_id: str


def send(
    topic: options.Topic,
    message: options.Message = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it was handled.")] = False,
    broker: options.Broker = None,
    timeout: options.Timeout = None,
    header: options.Headers = None,
    connect_timeout: options.ConnectTimeout = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Send a command to the service that owns its topic."""

    async def work(bus: Bus, call: _Call) -> None:
        await bus.send(
            call.topic,
            call.message,
            wait=wait,
            timeout=call.timeout,
            headers=call.headers,
            message_id=call.message_id,
        )
        _confirm(call, as_json=as_json)

    _run(
        work,
        topic,
        message,
        header,
        as_json=as_json,
        config=config,
        url=broker,
        timeout=timeout,
        connect_timeout=connect_timeout,
        backend=backend,
        log_level=log_level,
        log_format=log_format,
    )


def ask(
    topic: options.Topic,
    message: options.Message = None,
    broker: options.Broker = None,
    timeout: options.Timeout = None,
    header: options.Headers = None,
    connect_timeout: options.ConnectTimeout = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Ask a query and print the answer as JSON; bytes in it are printed as base64."""

    async def work(bus: Bus, call: _Call) -> None:
        answer: object = await bus.ask(call.topic, call.message, timeout=call.timeout, headers=call.headers)
        print_value(answer, compact=as_json)

    _run(
        work,
        topic,
        message,
        header,
        as_json=as_json,
        config=config,
        url=broker,
        timeout=timeout,
        connect_timeout=connect_timeout,
        backend=backend,
        log_level=log_level,
        log_format=log_format,
    )


def publish(
    topic: options.Topic,
    message: options.Message = None,
    broker: options.Broker = None,
    timeout: options.Timeout = None,
    header: options.Headers = None,
    connect_timeout: options.ConnectTimeout = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Publish an event to everybody who listens."""

    async def work(bus: Bus, call: _Call) -> None:
        await bus.publish(
            call.topic, call.message, timeout=call.timeout, headers=call.headers, message_id=call.message_id
        )
        _confirm(call, as_json=as_json)

    _run(
        work,
        topic,
        message,
        header,
        as_json=as_json,
        config=config,
        url=broker,
        timeout=timeout,
        connect_timeout=connect_timeout,
        backend=backend,
        log_level=log_level,
        log_format=log_format,
    )


def _run(
    work: Callable[[Bus, _Call], Awaitable[None]],
    topic: str,
    message: str | None,
    headers: list[str] | None,
    *,
    as_json: bool,
    config: Path | None,
    **given: object,
) -> None:
    with reporting(as_json=as_json):
        settings = load_settings(config, **given)
        set_up_logging(settings, default="warning")
        call = _Call(validate_topic(topic), _read(message), _pairs(headers or []), settings.timeout, uuid4().hex)

        async def once(bus: Bus, _: Stop) -> None:
            await work(bus, call)

        if signal := with_bus(settings, once):
            raise interrupted(signal)


def _confirm(call: _Call, *, as_json: bool) -> None:
    if as_json:
        print_line(to_json({"topic": call.topic, "message_id": call.message_id}))


def _read(message: str | None) -> object:
    if (message is None or message == "-") and sys.stdin.isatty():
        sys.stderr.write("reading the message from the terminal; end it with ctrl-D\n")
    try:
        text = sys.stdin.read() if message is None or message == "-" else message
        if not text.strip():
            raise UsageError("there is no message: give JSON, for instance '{}'")
        read: object = json.loads(text, parse_constant=_no_constant)
        JSON.encode(read)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the message is not JSON: {error}") from None
    except InvalidMessageError as error:
        raise UsageError(f"the message cannot be sent: {error.reason}") from None
    return read


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _is_text(argument: str) -> bool:
    """Whether the bytes that were typed are text: those that are not Python keeps as halves of surrogate pairs."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(headers: list[str]) -> dict[str, str]:
    pairs = dict[str, str]()
    for header in headers:
        key, equals, value = header.partition("=")
        if not (key and equals):
            raise UsageError(f"--header {header!r} is not of the form KEY=VALUE")
        if not _is_text(header):
            raise UsageError(f"--header {header!r} is not text in UTF-8")
        pairs[key] = value
    return pairs
