"""Models that are written as what their instances hold: nothing but scalars, each under its own name.

Of such a model pydantic need not be asked what is to be written, which takes half the time. The rules:

1. Whether a class is one is read off its core schema, once. Whatever pydantic would do on the way, from an alias to a
   serializer, makes it none.
2. An instance may hold something else than its class declares, where nothing was validated. So the exact type of each
   value is looked at, and what is not declared goes the way of all others: what is refused there is refused.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final, TypeAlias

from cqrsbus.bus.shapes import Schema, Schemas, declared, fields_of, written_name
from cqrsbus.compiled import is_compiled

_SCALARS: Final[Mapping[str, type]] = {
    "none": NoneType, "bool": bool, "int": int, "float": float, "str": str, "bytes": bytes, "datetime": datetime,
}  # fmt: skip
_NAMES: Final = {kind: kind.__name__ for kind in _SCALARS.values()}
_BY_NAME: Final = {name: kind for kind, name in _NAMES.items()}
_WRAPPERS: Final = frozenset({"default", "nullable", "function-before", "function-after"})
#: What pydantic may be told of a field that changes neither its value nor its name.
_HARMLESS: Final = frozenset({"type", "schema", "validation_alias", "frozen", "metadata"})
#: Of a datetime of another time zone it is to be asked whether its offset can be written.
_A_DATETIME: Final = "type(at := held[{name!r}]) is datetime and (at.tzinfo is UTC or at.tzinfo is None)"

Fits: TypeAlias = Callable[[dict[str, Any]], bool]


class PlainModel:
    """A class whose instances are written as they are.

    Args:
        kinds: For each field the exact type that it holds, and whether it may be None.
    """

    __slots__ = ("_fits", "_kinds", "datetimes", "has_bytes")

    def __init__(self, kinds: Mapping[str, tuple[type, bool]]) -> None:
        self._kinds = [(name, kind, nullable) for name, (kind, nullable) in kinds.items()]
        self._fits = None if is_compiled() else _written_out(kinds)
        #: Whether a field may hold some.
        self.has_bytes = any(kind is bytes for kind, _ in kinds.values())
        #: The fields that may hold one.
        self.datetimes = tuple(name for name, (kind, _) in kinds.items() if kind is datetime)

    def fits(self, held: dict[str, Any]) -> bool:
        """Return whether an instance that holds this is written as it is.

        Args:
            held: Its ``__dict__``.
        """
        try:
            return self._fits_each(held) if self._fits is None else self._fits(held)
        except KeyError:
            return False

    def _fits_each(self, held: dict[str, Any]) -> bool:
        if len(held) != len(self._kinds):
            return False
        for name, kind, nullable in self._kinds:
            value = held[name]
            if type(value) is not kind:
                if not nullable or value is not None:
                    return False
            elif kind is datetime and not _has_plain_offset(value):
                return False
        return True


def _has_plain_offset(at: Any) -> bool:
    offset: object = at.tzinfo
    return offset is UTC or offset is None


def _written_out(kinds: Mapping[str, tuple[type, bool]]) -> Fits:
    """Write the question out for these fields, as dataclasses does: in a loop that is not compiled it takes three times
    as long to ask."""
    questions = [f"len(held) == {len(kinds)}"]
    for name, (kind, nullable) in kinds.items():
        written = _A_DATETIME if kind is datetime else "type(held[{name!r}]) is {kind}"
        asked = written.format(name=name, kind=_NAMES[kind])
        questions.append(f"(held[{name!r}] is None or {asked})" if nullable else asked)
    known = {"UTC": UTC, "len": len, "type": type}
    # Nothing is in it that was not written here, but for the names of fields, which are quoted.
    fits: Fits = eval(f"lambda held: {' and '.join(questions)}", {**known, **_BY_NAME, "__builtins__": {}})  # noqa: S307
    return fits


def plain_model(schemas: Schemas) -> PlainModel | None:
    """Return how the instances of a type are written as they are; None if they are not.

    Args:
        schemas: The whole type.
    """
    model = declared(schemas.root)
    if model["type"] != "model" or model.get("root_model") or "serialization" in model:
        return None
    record = declared(model["schema"])
    config: Schema = model.get("config") or {}
    if (
        record["type"] != "model-fields"
        or "serialization" in record
        or record.get("computed_fields")
        or "allow" in (record.get("extra_behavior"), config.get("extra_fields_behavior"))
        or "extras_schema" in record
    ):
        return None
    kinds: dict[str, tuple[type, bool]] = {}
    for name, entry in fields_of(record):
        kind, nullable = _kind(entry["schema"])
        if kind is None or not entry.keys() <= _HARMLESS or written_name(name, entry) != name:
            return None
        kinds[name] = kind, nullable
    return PlainModel(kinds)


def _kind(schema: Schema) -> tuple[type | None, bool]:
    """Return the exact type that a field holds, None if pydantic is to be asked, and whether it may be None."""
    nullable = False
    while schema["type"] in _WRAPPERS and "serialization" not in schema:
        nullable = nullable or schema["type"] == "nullable"
        schema = schema["schema"]
    return (None if "serialization" in schema else _SCALARS.get(schema["type"])), nullable
