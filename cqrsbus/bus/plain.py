"""From Python values to the plain ones that a body is made of.

Models and dataclasses become maps of their fields, with the fields of subclasses. Other types that a body has
no form for are written as any language can read them: dates and times in ISO 8601, ``UUID``, ``Decimal``, ``Path``
and addresses as their text, an ``Enum`` by its value, sets as arrays. Whatever has no such form, or would be read
as something else, is refused with the reason.
"""

import dataclasses
import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Any, Final, NoReturn, cast
from uuid import UUID

from pydantic import AnyUrl, BaseModel
from pydantic_core import PydanticSerializationError, SchemaSerializer, Url, core_schema, to_jsonable_python

from cqrsbus.bus.plain_model import PlainModel
from cqrsbus.bus.types import MessageType, message_type
from cqrsbus.errors import InvalidMessageError

_COLLECTIONS: Final = (list, tuple, set, frozenset, deque)
_BUILT_IN: Final = frozenset({dict, *_COLLECTIONS})
SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
_TEXT_ALONE: Final = frozenset({str})
_MINUTE: Final = timedelta(minutes=1)
_ISO_DATETIME: Final = SchemaSerializer(core_schema.datetime_schema()).to_python
_UUID_TEXT: Final = SchemaSerializer(core_schema.uuid_schema()).to_python
#: An integer of so many bits has fewer digits than any limit of ``sys.set_int_max_str_digits``.
_FEW_BITS: Final = 2_048
_MISFIT: Final = re.compile(r"Expected `[^`]*`|field_name='\w+'")


def plain(value: object, *, json: bool) -> object:
    """Return what is to be packed for a value; what is left of other types is for ``in_msgpack`` or ``in_json``.

    Args:
        value: Any message.
        json: Whether the keys will be JSON's.

    Raises:
        InvalidMessageError: A part of it cannot be carried.
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind not in _BUILT_IN and _is_record(value):
        return fields(value, message_type(kind))
    if kind is dict or isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        _check_keys(mapping, json=json)
        return {key: plain(each, json=json) for key, each in mapping.items()}
    if isinstance(value, _COLLECTIONS):
        return [plain(each, json=json) for each in cast("Collection[object]", value)]
    return value


def fields(value: object, declared: MessageType[Any]) -> object:
    """Return the fields of a model or dataclass, with those that subclasses add.

    Args:
        value: The instance.
        declared: Its class, compiled.

    Raises:
        InvalidMessageError: A field cannot be written. One that merely holds something else than it declares is left to
            pydantic's UserWarning, for asking it to be stricter doubles the cost.
    """
    facts = declared.facts
    try:
        if facts.has_stdlib_dataclass:
            return declared.serializer.to_python(
                value, by_alias=True, round_trip=True, serialize_as_any=True, polymorphic_serialization=False
            )
        tree: Any = declared.serializer.to_python(value, by_alias=True, round_trip=True, polymorphic_serialization=True)
    except (PydanticSerializationError, UserWarning) as error:
        raise InvalidMessageError(serialization_reason(error, declared.name)) from None
    # The packer would ask for each of these, which costs it more.
    for name in facts.datetime_fields:
        at = tree.get(name)
        if type(at) is datetime:
            if at.tzinfo is not UTC:
                _check_offset(at)
            tree[name] = _iso_text(at)
    return tree


def as_held(held: Mapping[str, object], plain_model: PlainModel) -> dict[str, object]:
    """Return the fields of a model whose instances are written as they are.

    Args:
        held: The ``__dict__`` of an instance that fits.
        plain_model: What is known of its class.
    """
    tree = dict(held)
    for name in plain_model.datetimes:
        at = tree[name]
        if at is not None:
            tree[name] = _iso_text(cast("datetime", at))
    return tree


def serialization_reason(error: Exception, name: str) -> str:
    """Return why pydantic could not write a value, without the value."""
    text = str(error)
    if "input_value=" not in text:
        return f"{name} cannot be written: {text.partition(chr(10))[0]}"
    return f"{name} cannot be written, a field does not hold what it declares: {' '.join(_MISFIT.findall(text))}"


def in_msgpack(value: object) -> object:
    """Return the plain form of a value that msgpack has none for.

    Args:
        value: Something of another type.

    Raises:
        InvalidMessageError: It cannot be carried.
    """
    write = _EXACT_WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, int):
        _refuse(value, "msgpack has no integers beyond 64 bits; declare a str, or use the json codec")
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    return _refuse(value, "it has no plain form; give its type a pydantic serializer")


def in_json(value: object) -> object:
    """Return the plain form of a value that JSON has none for; bytes are base64.

    Args:
        value: Something of another type.

    Raises:
        InvalidMessageError: It cannot be carried.
    """
    if isinstance(value, (bytes, bytearray)):
        return _write_base64(value)
    return in_msgpack(value)


def json_ready(tree: object) -> bool:
    """Return whether pydantic writes a tree as Python's own JSON writer does, which takes longer.

    What has a plain form is replaced by it, in place. Floats are not ready: either writer has its own rules for them.

    Args:
        tree: What ``fields`` returned.

    Raises:
        InvalidMessageError: A value cannot be carried.
        ValueError: An integer has more digits than Python reads.
    """
    if type(tree) is not dict:
        return False
    record = cast("dict[object, object]", tree)
    for key, value in record.items():
        kind = type(value)
        if type(key) is not str:
            return False
        if kind not in _JSON_KEPT:
            write = _JSON_WRITERS.get(kind)
            if write is None:
                return False
            record[key] = write(value)
    return True


def text_keys(tree: object) -> object:
    """Return a tree whose keys are what JSON can have, for those that were dates, UUIDs or the like.

    Args:
        tree: What ``plain`` returned.

    Raises:
        InvalidMessageError: A key cannot be text.
    """
    if isinstance(tree, dict):
        return {_text_key(key): text_keys(each) for key, each in cast("dict[object, object]", tree).items()}
    if isinstance(tree, _COLLECTIONS):
        return [text_keys(each) for each in cast("Collection[object]", tree)]
    return tree


def _text_key(key: object) -> object:
    written = key if isinstance(key, (str, int)) else in_json(key)
    return written if isinstance(written, (str, int)) else _refuse(key, "JSON's keys are text")


def _is_record(value: object) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _check_keys(value: Mapping[object, object], *, json: bool) -> None:
    kinds = set(map(type, value))
    if kinds <= _TEXT_ALONE:
        return
    for kind in kinds:
        if issubclass(kind, (tuple, frozenset, BaseModel)):
            raise InvalidMessageError(f"a key of type {kind.__name__} cannot be carried: keys are plain values")
        if json and issubclass(kind, (type(None), float, bytes)):
            raise InvalidMessageError(f"a key of type {kind.__name__} cannot be carried: JSON's keys are text")
    if json and len(kinds) > 1:
        raise InvalidMessageError("keys of several types cannot be carried: JSON's keys are all text")


def _write_datetime(value: datetime) -> str:
    if value.tzinfo is not UTC:
        _check_offset(value)
    return _iso_text(value)


def _iso_text(value: datetime) -> str:
    # Half the cost of isoformat(), and the same text but for the offset of UTC.
    text: str = _ISO_DATETIME(value, mode="json")
    return text.replace("Z", "+00:00")


def _write_other_datetime(value: datetime | time) -> str:
    _check_offset(value)
    return value.isoformat()


def _check_offset(value: datetime | time) -> None:
    offset = value.utcoffset() if value.tzinfo else None
    if offset and offset % _MINUTE:
        _refuse(value, "its offset from UTC is not a whole number of minutes")


def _write_uuid(value: UUID) -> str:
    text: str = _UUID_TEXT(value, mode="json")
    return text


def _write_base64(value: bytes | bytearray) -> str:
    return b64encode(value).decode()


def _check_digits(value: int) -> int:
    if value.bit_length() > _FEW_BITS:
        str(value)
    return value


def _write_decimal(value: Decimal) -> str:
    return str(value) if value.is_finite() else _refuse(value, "it is not finite")


def _write_enum(value: Enum) -> object:
    if isinstance(value.value, (str, int, float, bytes)):
        return value.value
    return _refuse(value, "its value is neither text nor a number")


def _refuse(value: object, reason: str) -> NoReturn:
    raise InvalidMessageError(f"a value of type {type(value).__name__} cannot be carried: {reason}")


# In this order: an Enum may also be a date, and a datetime is a date.
_WRITERS: Final[Mapping[type | tuple[type, ...], Callable[[Any], object]]] = {
    Enum: _write_enum,
    (datetime, time): _write_other_datetime,
    date: date.isoformat,
    timedelta: to_jsonable_python,
    (UUID, Fraction): str,
    Decimal: _write_decimal,
    (set, frozenset, deque): list,
    (PurePath, AnyUrl, Url): str,
    (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network): str,
}
_EXACT_WRITERS: Final[Mapping[type, Callable[[Any], object]]] = {
    datetime: _write_datetime,
    UUID: _write_uuid,
    date: date.isoformat,
    Decimal: _write_decimal,
    set: list,
}
_JSON_KEPT: Final = frozenset({str, bool, type(None)})
_JSON_WRITERS: Final[Mapping[type, Callable[[Any], object]]] = {
    datetime: _write_datetime,
    UUID: _write_uuid,
    date: date.isoformat,
    Decimal: _write_decimal,
    bytes: _write_base64,
    int: _check_digits,
}
