"""How a message becomes the bytes of a body, and back.

Two codecs, told apart on the wire by their content type: msgpack (the default) and JSON. Both write the same
plain, language-neutral values (see plain.py); msgpack uses no extension types, and JSON writes ``bytes`` as base64.

- A value comes back exactly when the receiver declares the type that was sent, or it is refused when it is
  written, with the reason. Nothing is turned into something else on the way.
- A value of a subclass keeps its fields, also inside fields and containers that declare the base.
- Reading is bounded by the length of the body, and any bytes at all either fit the declared type or raise
  InvalidMessageError. Nothing read is ever code.
- Where nothing is declared (``Any``, a bare ``dict``), the receiver gets the plain values.
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from json import JSONEncoder
from typing import Any, Final, TypeVar

import msgpack
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from cqrsbus.bus.bounds import check_declared_lengths
from cqrsbus.bus.fast_msgpack import fast_packed, fast_unpacked
from cqrsbus.bus.plain import (
    SCALARS,
    as_held,
    fields,
    in_json,
    in_msgpack,
    json_ready,
    plain,
    serialization_reason,
    text_keys,
)
from cqrsbus.bus.types import MessageType, message_type
from cqrsbus.cause import caused_by
from cqrsbus.errors import InvalidMessageError
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE

T = TypeVar("T")

#: In the place of a value that was not read.
NOT_READ: Final = object()
#: A packer keeps its largest buffer; above this many bytes it is dropped.
_KEPT_BUFFER: Final = 1 << 20
#: So many packers wait for the next message; when more threads encode at once, the rest make their own.
_KEPT_PACKERS: Final = 4
#: So many classes are known at once.
_KEPT_CLASSES: Final = 1_024


class Codec(ABC):
    """What a body is written and read with.

    Args:
        name: What a bus calls it.
        content_type: What the wire calls it.
    """

    def __init__(self, name: str, content_type: str) -> None:
        self.name = name
        self.content_type = content_type

    @abstractmethod
    def encode(self, value: object) -> bytes:
        """Write a value as a body.

        Args:
            value: A model, dataclass, plain value, or a container of them.

        Raises:
            InvalidMessageError: A part of it cannot be carried; the reason says which and why.
        """

    @abstractmethod
    def decode(self, body: bytes, into: MessageType[T]) -> T:
        """Read a body as a value of the declared type.

        Args:
            body: Any bytes.
            into: The declared type.

        Raises:
            InvalidMessageError: The body is malformed or does not fit.
        """

    def decode_each(self, bodies: Sequence[bytes], into: MessageType[Any]) -> list[object]:
        """Read several bodies as values of the declared type; :data:`NOT_READ` is in the place of one that is malformed
        or does not fit.

        Args:
            bodies: Any bytes.
            into: The declared type.
        """
        return [self._decode_or_not(body, into) for body in bodies]

    def _decode_or_not(self, body: bytes, into: MessageType[Any]) -> object:
        try:
            return self.decode(body, into)
        except InvalidMessageError:
            return NOT_READ


#: The classes that were sent, each compiled if it is a model.
_MODELS: Final[dict[type, MessageType[Any] | None]] = {}


def _model(cls: type) -> MessageType[Any] | None:
    """The type of the instances of a class that was sent, if it is a model."""
    try:
        return _MODELS[cls]
    except KeyError:
        if len(_MODELS) >= _KEPT_CLASSES:
            _MODELS.clear()
        found = _MODELS[cls] = message_type(cls) if issubclass(cls, BaseModel) else None
        return found


class _MsgpackCodec(Codec):
    def __init__(self) -> None:
        super().__init__("msgpack", DEFAULT_CONTENT_TYPE)
        # Taking and giving back are atomic: no two threads, nor an encoding within another, get the same packer.
        self._idle: deque[msgpack.Packer] = deque(maxlen=_KEPT_PACKERS)

    def encode(self, value: object) -> bytes:
        try:
            declared = _model(type(value))
            tree: object
            if declared is None:
                tree = value if type(value) in SCALARS else plain(value, json=False)
            elif (plain_model := declared.plain_model) is None or not plain_model.fits(held := value.__dict__):
                tree = fields(value, declared)
            elif (packed := fast_packed(held)) is not None:
                return packed
            else:
                tree = as_held(held, plain_model)
            try:
                packer = self._idle.pop()
            except IndexError:
                packer = msgpack.Packer(default=in_msgpack, autoreset=True)
            # One that failed keeps what it had written, and is not used again.
            body: bytes = packer.pack(tree)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise caused_by(InvalidMessageError(f"{type(value).__name__} cannot be written as msgpack: {error}"), None)
        if len(body) <= _KEPT_BUFFER:
            self._idle.append(packer)
        return body

    def decode(self, body: bytes, into: MessageType[T]) -> T:
        tree: object = fast_unpacked(body) if into.is_flat else None
        return into.validate(_unpacked(body) if tree is None else tree)

    def decode_each(self, bodies: Sequence[bytes], into: MessageType[Any]) -> list[object]:
        if not into.is_flat:
            return super().decode_each(bodies, into)
        # All are unpacked, and then all are checked: each time the processor has the code for it at hand.
        trees = [fast_unpacked(body) for body in bodies]
        # None is in the place of what is left to the usual way, and fits no model.
        together = into.validate_all(trees)
        if together is not None:
            return together
        values: list[object] = []
        for place, tree in enumerate(trees):
            try:
                values.append(self.decode(bodies[place], into) if tree is None else into.validate(tree))
            except InvalidMessageError:
                values.append(NOT_READ)
        return values


def _unpacked(body: bytes) -> object:
    check_declared_lengths(body)
    try:
        return msgpack.unpackb(body, strict_map_key=False, ext_hook=_refuse_extension, max_ext_len=0)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise caused_by(InvalidMessageError(f"the body is not msgpack: {_kind_of(error)}"), None)


class _JsonCodec(Codec):
    def __init__(self) -> None:
        super().__init__("json", "application/json")
        self._write = JSONEncoder(default=in_json, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

    def encode(self, value: object) -> bytes:
        try:
            declared = _model(type(value))
            return self._dump(plain(value, json=True)) if declared is None else self._encode_model(value, declared)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise caused_by(InvalidMessageError(f"{type(value).__name__} cannot be written as JSON: {error}"), None)

    def _encode_model(self, value: object, declared: MessageType[Any]) -> bytes:
        facts = declared.facts
        if facts.json_flaw:
            declared.require_json()
        if not facts.json_keeps_all:
            tree = fields(value, declared)
            return to_json(tree) if facts.json_as_python and json_ready(tree) else self._dump(tree)
        try:
            return declared.serializer.to_json(value, by_alias=True, round_trip=True, polymorphic_serialization=True)
        except (PydanticSerializationError, UserWarning) as error:
            raise caused_by(InvalidMessageError(serialization_reason(error, declared.name)), None)

    def _dump(self, tree: object) -> bytes:
        try:
            return self._write(tree).encode()
        except TypeError:
            return self._write(text_keys(tree)).encode()

    def decode(self, body: bytes, into: MessageType[T]) -> T:
        return into.validate_json(body)


MSGPACK: Final[Codec] = _MsgpackCodec()
JSON: Final[Codec] = _JsonCodec()

_BY_NAME: Final[Mapping[str, Codec]] = {codec.name: codec for codec in (MSGPACK, JSON)}
_BY_CONTENT_TYPE: Final[Mapping[str, Codec]] = {codec.content_type: codec for codec in (MSGPACK, JSON)}


def codec_named(name: str) -> Codec:
    """Return the codec with a name.

    Args:
        name: ``"msgpack"`` or ``"json"``.

    Raises:
        InvalidMessageError: There is none of that name; the reason lists those that are.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise caused_by(_unknown("codec", name, _BY_NAME), None)


def codec_for(content_type: str) -> Codec:
    """Return the codec that reads a content type.

    Args:
        content_type: As it came with the message.

    Raises:
        InvalidMessageError: Nothing here reads it; the reason lists what can be read.
    """
    if content_type == DEFAULT_CONTENT_TYPE:
        return MSGPACK
    try:
        return _BY_CONTENT_TYPE[content_type]
    except KeyError:
        raise caused_by(_unknown("content type", content_type, _BY_CONTENT_TYPE), None)


def _unknown(what: str, wanted: str, known: Mapping[str, Codec]) -> InvalidMessageError:
    return InvalidMessageError(f"unknown {what} {wanted[:64]!r}; known are {', '.join(known)}")


def _refuse_extension(code: int, data: bytes) -> object:
    raise ValueError(f"extension type {code} of {len(data)} bytes")


def _kind_of(error: Exception) -> str:
    """Say what is wrong with a body without quoting it."""
    if isinstance(error, msgpack.ExtraData):
        return "it goes on after its end"
    if isinstance(error, UnicodeDecodeError):
        return "a text in it is not UTF-8"
    return re.sub(r"[^\w\s().<>=,:-]", "", str(error))[:100] or type(error).__name__
