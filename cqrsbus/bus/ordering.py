"""What ``ordered_by=`` means: the key of a message, and what can be said of it before there is one.

- A field's name is looked up in the message: an attribute, or of a mapping an item. A function is given the message.
- Keys are compared as a dict compares them, so they are hashable; ``None`` is a key like any other.
- Where the declared type is certain to have no such field, the handler is refused when it is declared. Types that may
  have anything (``dict``, ``Any``, a model with extra fields) are believed.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from inspect import iscoroutinefunction
from typing import Any, Final, cast, get_origin, is_typeddict

from pydantic import BaseModel

from cqrsbus.bus.annotations import alternatives
from cqrsbus.bus.callables import listed
from cqrsbus.bus.handler import Handler, OrderedBy
from cqrsbus.errors import TopologyError

_FIELDLESS: Final = (bool, bytes, float, frozenset, int, list, set, str, tuple, type(None))


def key_function(handler: Handler, ordered_by: OrderedBy) -> Callable[[object], Hashable]:
    """Return what tells a message's key, which raises what a handler might, or TypeError for a key that is none.

    Args:
        handler: Whose messages they are.
        ordered_by: What it declared.
    """
    find = _field(ordered_by) if isinstance(ordered_by, str) else ordered_by

    def key_of(message: object) -> Hashable:
        key = find(message)
        try:
            hash(key)
        except TypeError:
            raise TypeError(
                f"ordered_by of {handler} gave {type(key).__name__}, which cannot be hashed and so is no key: "
                f"order by something like a str, an int or a tuple of those"
            ) from None
        return key

    return key_of


def check_ordered_by(handler: Handler) -> None:
    """Refuse what can order no message.

    Args:
        handler: What was declared.

    Raises:
        TypeError: It is neither a field's name nor a function that returns the key.
        TopologyError: The handler's message has no such field.
    """
    ordered_by: object = handler.ordered_by
    if ordered_by is None:
        return
    if isinstance(ordered_by, str):
        for declared in alternatives(handler.message_annotation):
            _check_field(handler, declared, ordered_by)
    elif not callable(ordered_by) or iscoroutinefunction(ordered_by):
        raise TypeError(f"ordered_by of {handler} is a field's name or a plain function, not {ordered_by!r}")


def _check_field(handler: Handler, declared: object, name: str) -> None:
    known = _fields_of(declared)
    if known is None or name in known or (hasattr(declared, name) and not is_typeddict(declared)):
        return
    has = f"it has {listed(known)}" if known else "it has none"
    raise TopologyError(
        f"{handler} is ordered by {name!r}, and {getattr(declared, '__qualname__', declared)} has no such field: {has}",
        topic=handler.topic,
    )


def _fields_of(declared: object) -> tuple[str, ...] | None:
    """The fields that a value of this type has; None where that cannot be told."""
    found: object = get_origin(declared) or declared
    if not isinstance(found, type):
        return None
    cls: type[Any] = found
    if issubclass(cls, BaseModel):
        known = (*cls.model_fields, *cls.model_computed_fields)
        return None if cls.model_config.get("extra") == "allow" else known
    if is_typeddict(cls):
        return tuple(cls.__annotations__)
    if is_dataclass(cls):
        return tuple(field.name for field in fields(cls))
    return () if cls in _FIELDLESS else None


def _field(name: str) -> Callable[[object], Hashable]:
    def find(message: object) -> Hashable:
        if isinstance(message, Mapping):
            return cast("Mapping[str, Hashable]", message)[name]
        found: Hashable = getattr(message, name)
        return found

    return find
