"""What the commands write to stdout: plain where it is read by a program, coloured where by a person.

What comes from elsewhere is never written raw to a terminal: control characters are escaped.
"""

import json
import math
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from cqrsbus.bus.context import Context

#: Control characters, and those that reorder the text around them; JSON itself escapes only those below U+0020.
_INVISIBLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return a text in one line, without characters that a terminal would obey."""
    return _INVISIBLE.sub(_escape, re.sub(r"\s*\n\s*", " ", text.strip("\n")))


def to_json(value: object, *, indent: int | None = None) -> str:
    """Write a plain value as JSON; bytes become base64, and what JSON has no number for becomes text.

    Args:
        value: What came with a message.
        indent: Spaces per level; None writes one compact line.
    """
    # On a stdout that cannot show everything JSON's own escapes can.
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    separators = (",", ":") if indent is None else None
    written = json.dumps(_plain(value), ensure_ascii=ascii_only, indent=indent, separators=separators)
    return _INVISIBLE.sub(lambda found: "\n" if found[0] == "\n" else _escape(found), written)


class OutputError(Exception):
    """Nothing can be written to stdout: the disk is full, or the like."""


def print_line(line: str) -> None:
    """Write a line to stdout, at once.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to the standard output: {error.strerror or error}") from error


def print_value(value: object, *, compact: bool) -> None:
    """Write a value as JSON: in colour to a terminal, indented elsewhere, or compact in one line."""
    if compact:
        print_line(to_json(value))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(soft_wrap=True).print_json(to_json(value))
    else:
        print_line(to_json(value, indent=2))


def print_event(message: object, context: "Context", *, as_json: bool) -> None:
    """Write an event: the time it came, its topic, its sender and itself; or one JSON object."""
    if as_json:
        fields = {
            "topic": context.topic,
            "sender": context.sender,
            "message_id": context.message_id,
            "correlation_id": context.correlation_id,
            "headers": dict(context.headers),
            "message": message,
        }
        print_line(to_json(fields))
        return
    time = datetime.now().astimezone().strftime("%H:%M:%S")
    body = to_json(message)
    if not sys.stdout.isatty():
        print_line(f"{time} {context.topic} {visible(context.sender)} {body}")
        return
    from rich.console import Console
    from rich.text import Text

    Console(soft_wrap=True, highlight=False).print(
        Text.assemble(
            (time, "dim"), " ", (context.topic, "bold green"), " ", (visible(context.sender), "cyan"), " ", body
        )
    )


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast("list[object]", value)]
    return value


def _key(key: object) -> str | int | float | None:
    plain = _plain(key)
    return plain if plain is None or isinstance(plain, (str, int, float)) else str(plain)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
