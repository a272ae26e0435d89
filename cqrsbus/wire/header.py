"""The header of a frame: a small msgpack map, decoded with suspicion.

The rules:

1. A header is one map with text keys and no key twice; its values are text, bytes, numbers, booleans, nil,
   and maps or arrays of those, nested at most :data:`MAX_DEPTH` deep.
   A map or an array has at most :data:`MAX_ENTRIES` entries.
2. Extension types (timestamps too), other keys, bad UTF-8 and trailing bytes are refused as ``BAD_FRAME``. The
   size is bounded before decoding, and no declared length makes us allocate more than the entries it may have.
3. No part of the input is repeated in the error.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Final, cast

import msgpack

from cqrsbus.cause import caused_by
from cqrsbus.errors import ProtocolError

#: The header itself is the first map.
MAX_DEPTH: Final = 4
#: msgpack makes room for declared entries at every level of nesting, before it has seen any of them.
MAX_ENTRIES: Final = 256

#: What a header's values can be.
Value = str | bytes | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]
Fields = Mapping[str, Value]

_PLAIN: Final = (str, bytes, int, float, NoneType)
_EMPTY: Final[dict[str, Value]] = {}


def encode_header(fields: Fields) -> bytes:
    """Pack a header map; an empty one is no bytes at all."""
    return bytes(msgpack.packb(fields)) if fields else b""


def decode_header(data: bytes) -> Fields:
    """Unpack and check a header map.

    Raises:
        ProtocolError: BAD_FRAME, the header breaks one of the rules above.
    """
    if not data:
        return _EMPTY
    try:
        fields: object = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            use_list=False,
            object_pairs_hook=_unique_text_keys,
            ext_hook=_refuse_ext,
            max_array_len=MAX_ENTRIES,
            max_map_len=MAX_ENTRIES,
        )
    except ValueError as error:
        raise caused_by(ProtocolError(f"the header is not a valid map ({type(error).__name__})"), None)
    if not isinstance(fields, dict):
        raise ProtocolError("the header is not a map")
    checked = cast("dict[str, Value]", fields)
    _check(checked.values(), depth=1)
    return checked


def refuse_unknown(fields: Fields, known: frozenset[str]) -> None:
    """Refuse a header with a field that has no meaning here, so that a later version can give it one.

    Args:
        fields: The header.
        known: The fields that have one.

    Raises:
        ProtocolError: BAD_FRAME, there is another.
    """
    if not fields.keys() <= known:
        raise ProtocolError(f"unknown header fields; known are {', '.join(sorted(known))}")


def text(fields: Fields, key: str, *, limit: int, default: str | None = None) -> str:
    """Take a text out of a header map.

    Args:
        fields: The header map.
        key: The key, required unless there is a default.
        limit: The most characters it may have.
        default: What stands for a missing key.

    Raises:
        ProtocolError: BAD_FRAME, it is missing, of another type, or too long.
    """
    value = fields.get(key, default)
    if not isinstance(value, str):
        what = "is missing" if key not in fields else "is not text"
        raise ProtocolError(f"header field {key!r} {what}")
    if len(value) > limit:
        raise ProtocolError(f"header field {key!r} has more than {limit} characters")
    return value


def number(fields: Fields, key: str, *, default: int, low: int = 0, high: int) -> int:
    """Take a whole number within bounds out of a header map.

    Raises:
        ProtocolError: BAD_FRAME, it is of another type or out of bounds.
    """
    value = fields.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ProtocolError(f"header field {key!r} is not a whole number from {low} to {high}")
    return value


def flag(fields: Fields, key: str) -> bool:
    """Take a yes or no out of a header map; a missing one is no.

    Raises:
        ProtocolError: BAD_FRAME, it is of another type.
    """
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"header field {key!r} is neither true nor false")
    return value


def _unique_text_keys(pairs: Sequence[tuple[object, Value]]) -> dict[object, Value]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    for key in unique:
        if not isinstance(key, str):
            raise ValueError("a key is not text")
    return unique


def _refuse_ext(code: int, data: bytes) -> Value:
    raise ValueError("extension types are not allowed")


def _check(values: Iterable[Value], *, depth: int) -> None:
    for value in values:
        if isinstance(value, _PLAIN):
            continue
        if not isinstance(value, Mapping | tuple):
            # msgpack has a type of its own for timestamps, which no hook can refuse.
            raise ProtocolError("the header has a value of an extension type")
        if depth == MAX_DEPTH:
            raise ProtocolError(f"the header is nested more than {MAX_DEPTH} deep")
        _check(value.values() if isinstance(value, Mapping) else value, depth=depth + 1)
