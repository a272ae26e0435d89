"""Which plain values are read as which, by pydantic's rules for input that is not strict.

Kinds are compared, not single values: whether one text is a date, or one number is below a limit, shows when it is
written. What is sure to be refused, but for a lucky value, is told:

=============  ===========================================================================
written        is not read as
=============  ===========================================================================
null           anything else
a bool         text, but for durations
a whole number a bool; text, but for dates, times and durations
a number       the same, and a whole number
text           null, a bool, a number; with a format, text of another one (a UUID is no date)
array, object  anything else
=============  ===========================================================================

A ``Decimal`` is written as text and read as a number.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

_NUMBERS_READ_AS: Final = frozenset({"date", "date-time", "time", "duration"})
#: Formats that have no text in common, but for those below.
_DISTINCT: Final = frozenset({"date", "date-time", "time", "duration", "uuid", "decimal"})
_ALSO_READ_AS: Final = frozenset({
    ("date", "date-time"), ("time", "duration"), ("decimal", "date"), ("decimal", "date-time"), ("decimal", "time"),
})  # fmt: skip
_READ_AS: Final[Mapping[str, frozenset[str]]] = {
    "null": frozenset({"null"}),
    "boolean": frozenset({"boolean", "integer", "number"}),
    "integer": frozenset({"integer", "number"}),
    "number": frozenset({"number"}),
    "string": frozenset({"string"}),
    "array": frozenset({"array"}),
    "object": frozenset({"object"}),
}


def reads(written: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Tell whether values of one kind may be read as another; false where that is sure to fail.

    Args:
        written: A schema with at most one type.
        read: Another one.
    """
    kind, into = kind_of(written), kind_of(read)
    if kind not in _READ_AS or into not in _READ_AS or into in _READ_AS[kind]:
        return kind != "string" or into != "string" or _reads_format(written.get("format"), read.get("format"))
    if into == "string" and kind in ("boolean", "integer", "number"):
        return read.get("format") in ({"duration"} if kind == "boolean" else _NUMBERS_READ_AS)
    if kind == "object" and into == "array":
        return "prefixItems" in read  # a named tuple
    return kind == "string" and into == "number" and written.get("format") == "decimal"


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return the one type of a schema; of a value, that value's; empty where it is not said."""
    if "const" in schema:
        return _kind_of_value(schema["const"])
    kind = schema.get("type")
    return kind if isinstance(kind, str) else ""


def name_of(schema: Mapping[str, Any]) -> str:
    """Say what a schema without alternatives is, for people."""
    if "const" in schema:
        return repr(schema["const"])[:64]
    if isinstance(values := schema.get("enum"), list):
        named = [repr(each)[:64] for each in cast("list[object]", values)[:10]]
        return f"one of {', '.join(named)}"
    format_ = schema.get("format")
    return f"{kind_of(schema) or 'anything'}{f' ({format_})' if isinstance(format_, str) else ''}"


def same(one: object, other: object) -> bool:
    """Tell whether two plain values are one on the wire: ``1`` and ``True`` are not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _kind_of_value(value: object) -> str:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return "null" if value is None else kinds.get(type(value), "")


def _reads_format(written: object, read: object) -> bool:
    if written == read or written not in _DISTINCT or read not in _DISTINCT:
        return True
    return (written, read) in _ALSO_READ_AS
