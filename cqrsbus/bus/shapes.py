"""The forms that values of a type take on the wire.

A body knows few forms: null, bool, int, float, text, bin, array, map. Many Python types share one: text carries
``str``, ``datetime``, ``UUID``, ``Decimal``, ``Path``; array carries ``list``, ``tuple``, ``set``; map carries
``dict``, models, dataclasses. A leaf is one form together with the Python type that it stands for; a type has
one leaf, a union several. They are read off pydantic's core schema. A type whose form cannot be read there
counts as text of its own kind, the most cautious reading.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_CUSTOM: Final = "a custom type"
_ENUM: Final = "an enum"

#: For each type of one form: the form, and its name.
SCALARS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("null", "None"), "bool": ("bool", "bool"), "int": ("int", "int"), "float": ("float", "float"),
    "str": ("text", "str"), "bytes": ("bin", "bytes"), "decimal": ("text", "Decimal"), "uuid": ("text", "UUID"),
    "date": ("text", "date"), "time": ("text", "time"), "datetime": ("text", "datetime"),
    "timedelta": ("text", "timedelta"), "url": ("text", "a URL"), "multi-host-url": ("text", "a URL of many hosts"),
    "json": ("text", "Json"), "any": ("any", "Any"),
}  # fmt: skip
_ARRAYS: Final = frozenset({"list", "tuple", "set", "frozenset", "deque"})
_WRAPPERS: Final = frozenset({"definitions", "default", "nullable", "function-before", "function-after"})
_RECORDS: Final = frozenset({"model-fields", "dataclass-args", "typed-dict"})
_CONSTANTS: Final[Mapping[type, tuple[str, str]]] = {
    type(None): SCALARS["none"], bool: SCALARS["bool"], int: SCALARS["int"], str: SCALARS["str"],
    bytes: SCALARS["bytes"],
}  # fmt: skip
#: A union nested deeper than this through recursive types is not unfolded further.
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """One form, the name of the Python type it stands for, what tells that type apart, and its schema."""

    form: str
    name: str
    identity: object
    schema: Schema

    @property
    def is_record(self) -> bool:
        """Whether it is a map with declared fields, not a dict."""
        return self.schema["type"] in _RECORDS


class Schemas:
    """A core schema with its shared definitions at hand.

    Args:
        root: The core schema of a whole type.
    """

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._definitions: dict[str, Schema] = {}
        if root["type"] == "definitions":
            self._definitions = {each["ref"]: each for each in root["definitions"]}

    def resolve(self, reference: Schema) -> Schema:
        """Return what a definition-ref refers to."""
        return self._definitions[reference["schema_ref"]]

    def leaves(self, schema: Schema, depth: int = 0) -> Iterator[Leaf]:
        """Unfold a schema into every form its values may take."""
        kind: str = schema["type"]
        if depth > _DEEPEST:
            return
        if kind in SCALARS:
            yield Leaf(*SCALARS[kind], kind, schema)
        elif kind in _ARRAYS or kind == "named-tuple":
            yield Leaf("array", kind, schema.get("cls", kind), schema)
        elif kind == "dict" or kind in _RECORDS:
            cls = schema.get("cls", kind)
            yield Leaf("map", getattr(cls, "__name__", kind), cls, schema)
        elif kind in ("literal", "enum"):
            yield from _constant_leaves(schema)
        elif kind in ("model", "dataclass"):
            yield from self._class_leaves(schema, depth)
        else:
            yield from self._wrapped_leaves(schema, depth)

    def _class_leaves(self, schema: Schema, depth: int) -> Iterator[Leaf]:
        cls: type = schema["cls"]
        config: Schema = schema.get("config") or {}
        extras = config.get("extra_fields_behavior")
        for leaf in self.leaves(schema["schema"], depth + 1):
            inner: Schema = {**leaf.schema, "extra_behavior": extras} if extras and leaf.is_record else leaf.schema
            yield Leaf(leaf.form, cls.__name__, cls, inner)

    def _wrapped_leaves(self, schema: Schema, depth: int) -> Iterator[Leaf]:
        kind: str = schema["type"]
        if kind == "nullable":
            yield Leaf(*SCALARS["none"], "none", schema)
        if kind in ("union", "tagged-union"):
            for choice in choices(schema):
                yield from self.leaves(choice, depth + 1)
        elif kind == "definition-ref":
            yield from self.leaves(self.resolve(schema), depth + 1)
        elif kind in ("json-or-python", "lax-or-strict"):
            cls = instance_of(schema)
            yield from [Leaf("text", cls.__name__, cls, schema)] if cls else self.leaves(wire_side(schema), depth + 1)
        elif "schema" in schema:
            yield from self.leaves(schema["schema"], depth + 1)
        else:
            yield Leaf("text", _CUSTOM, id(schema), schema)


def choices(schema: Schema) -> list[Schema]:
    """Return the members of a union or tagged union, without their labels."""
    members: Any = schema["choices"]
    listed: list[Any] = list(members.values()) if hasattr(members, "values") else list(members)
    return [each[0] if isinstance(each, tuple) else each for each in listed]


def instance_of(schema: Schema) -> type | None:
    """Return the class that a schema insists on for Python values, such as Path, if it is a plain one."""
    if schema["type"] == "lax-or-strict":
        return instance_of(schema["strict_schema"])
    if schema["type"] != "json-or-python" or schema["python_schema"]["type"] != "is-instance":
        return None
    cls: object = schema["python_schema"]["cls"]
    return cls if isinstance(cls, type) else None


def wire_side(schema: Schema) -> Schema:
    """Return the half of a two-sided schema that reads what comes from the wire."""
    side: Schema = schema["json_schema" if schema["type"] == "json-or-python" else "lax_schema"]
    return side


def fields_of(schema: Schema) -> list[tuple[str, Schema]]:
    """Return the named fields of a record, with each field's own entry."""
    fields: Any = schema["fields"]
    if hasattr(fields, "items"):
        return list(fields.items())
    return [(each["name"], each) for each in fields]


def written_name(name: str, entry: Schema) -> str:
    """Return the key under which a field is written."""
    return str(entry.get("serialization_alias", name))


def datetime_fields(schemas: Schemas) -> tuple[str, ...]:
    """Return the keys under which a model writes the fields that it declares as datetimes.

    Args:
        schemas: The whole type; one that is no model, or has a serializer of its own, has none.
    """
    model = declared(schemas.root)
    record = declared(model["schema"]) if model["type"] == "model" else model
    if record["type"] != "model-fields" or "serialization" in model.keys() | record.keys():
        return ()
    return tuple(written_name(name, entry) for name, entry in fields_of(record) if _is_datetime(entry["schema"]))


def _is_datetime(schema: Schema) -> bool:
    kind: str = declared(schema)["type"]
    return kind == "datetime"


def declared(schema: Schema) -> Schema:
    """Return what is inside of all that changes neither the form of a value nor how it is written.

    Args:
        schema: A part of a core schema.
    """
    while schema["type"] in _WRAPPERS and "serialization" not in schema:
        schema = schema["schema"]
    return schema


def _constant_leaves(schema: Schema) -> Iterator[Leaf]:
    members: list[Any] = list(schema.get("members", ())) or list(schema["expected"])
    if schema["type"] == "enum":
        forms = {_constant_form(member.value)[0] for member in members}
        for form in sorted(forms):
            yield Leaf(form, _ENUM, schema["cls"], schema)
        return
    kinds: set[type[object]] = {type(value) for value in members}
    for kind in sorted(kinds, key=lambda each: each.__name__):
        if issubclass(kind, Enum):
            yield Leaf("text", _ENUM, kind, schema)
        else:
            form, name = _CONSTANTS.get(kind, ("text", _CUSTOM))
            yield Leaf(form, name, name.lower(), schema)


def _constant_form(value: object) -> tuple[str, str]:
    kind: type[object] = type(value)
    return _CONSTANTS.get(kind, ("text", _CUSTOM))
