"""What is to be known about a declared type before its values travel; found once, when it is compiled.

A fact decides which way values are written and read, or is a flaw: values would come back as something else, so the
type is refused. Some flaws concern JSON alone: it has no bytes, and its keys are text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from cqrsbus.bus.plain_model import PlainModel, plain_model
from cqrsbus.bus.shapes import (
    SCALARS,
    Leaf,
    Schema,
    Schemas,
    choices,
    datetime_fields,
    fields_of,
    instance_of,
    wire_side,
    written_name,
)
from cqrsbus.bus.unions import confused

#: Types that pydantic's own JSON writer keeps exactly, without a second look at the values.
_JSON_KEEPS: Final = frozenset({"none", "bool", "int", "str", "uuid", "date", "timedelta"})
_STRUCTURE: Final = frozenset({
    "definitions", "definition-ref", "nullable", "union", "tagged-union", "list", "tuple", "set", "frozenset", "dict",
    "model", "model-fields", "dataclass", "dataclass-args", "typed-dict", "default", "literal",
})  # fmt: skip
#: Types that Python's JSON writer and pydantic's write alike, or that are text in all but name.
_JSON_ALIKE: Final = frozenset({
    "none", "bool", "int", "str", "bytes", "uuid", "date", "datetime", "decimal",
    "definitions", "nullable", "union", "model", "model-fields", "default", "function-before", "function-after",
})  # fmt: skip
#: Types whose parts a walk visits, one and all.
_OPEN: Final = _STRUCTURE | SCALARS.keys() | {"enum", "function-before", "function-after", "function-wrap"}
#: Types that run nothing of the application's when they are read, if what they are made of does not; see `_asks`.
_INERT: Final = (_STRUCTURE | SCALARS.keys() | {"enum"}) - {"json"}
#: Types that are something simpler on the wire, and that Python values of that are not taken for by a strict type: it
#: reads them from JSON.
_SIMPLER_ON_THE_WIRE: Final = frozenset(
    {kind for kind, (form, _) in SCALARS.items() if form == "text"} - {"str"}
    | {"tuple", "set", "frozenset", "enum", "dataclass"}
)
_NAMING: Final = frozenset({"validate_by_alias", "validate_by_name", "loc_by_alias"})
_INNER: Final = ("schema", "items_schema", "keys_schema", "values_schema", "extras_schema")


@dataclass(slots=True)
class TypeFacts:
    """What a walk over a type found; an empty flaw means there is none."""

    flaw: str = ""
    json_flaw: str = ""
    #: Values are not coerced, so that text must be read the way JSON's is.
    strict: bool = False
    #: Pydantic keeps the fields of subclasses of its own classes only, unless told otherwise.
    has_stdlib_dataclass: bool = False
    json_keeps_all: bool = True
    #: Nothing of the application's runs when a value is read, such as a validator; but for how the keys of a map and
    #: what is in a set are hashed and compared.
    runs_nothing: bool = True
    #: A field may be read by another name than its own, or it cannot be ruled out.
    has_aliases: bool = False
    #: Written by pydantic or by Python, the JSON is the same, once what neither has a form for is replaced by text.
    json_as_python: bool = True
    #: The keys of a model's own fields that are declared as datetimes.
    datetime_fields: tuple[str, ...] = ()
    #: How a model's instances are written as they are, if they are.
    plain_model: PlainModel | None = None


def examine(root: Schema, *, base64: bool) -> TypeFacts:
    """Examine a type by its core schema.

    Args:
        root: The core schema.
        base64: Whether bytes outside of any class are read as base64 in JSON.
    """
    walk = _Walk(Schemas(root))
    walk.visit(root, "", base64=base64, strict=False)
    walk.check_strictness()
    walk.found.datetime_fields = datetime_fields(walk.schemas)
    walk.found.plain_model = plain_model(walk.schemas)
    return walk.found


def _is_numeric_constant(key: Leaf) -> bool:
    """Whether a key is one of some values that are no texts, and are compared as they are."""
    schema = key.schema
    return key.form != "text" and (
        schema["type"] == "literal" or (schema["type"] == "enum" and "sub_type" not in schema)
    )


def _allows_more(schema: Schema, config: Schema) -> bool:
    return "allow" in (schema.get("extra_behavior"), config.get("extra_fields_behavior")) or "extras_schema" in schema


def _asks(schema: Schema) -> bool:
    """Return whether this part of a schema itself calls what its author wrote."""
    match schema["type"]:
        case "enum":
            # It may look itself for a member that there is not.
            parents = schema["cls"].__mro__
            return any("_missing_" in vars(cls) for cls in parents[: parents.index(Enum)])
        case "model" | "dataclass":
            makes_itself = schema["cls"].__new__ is not object.__new__
            return makes_itself or bool(schema.get("custom_init") or schema.get("post_init"))
        case "default":
            return "default_factory" in schema or _may_ask_to_be_copied(schema["default"])
        case "tagged-union":
            return callable(schema["discriminator"])
        case _:
            return False


def _may_ask_to_be_copied(default: object) -> bool:
    """Return whether a default is copied for each value that lacks one, and what is in it may say how."""
    kind = type(default)
    if kind in (list, dict, set):
        return default != kind()
    try:
        hash(default)
    except TypeError:
        return True
    return False


class _Walk:
    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.found = TypeFacts()
        self._seen: set[tuple[str, bool, bool]] = set()
        self._models = 0
        #: What can be read from JSON alone, if there is such a part.
        self._json_only = ""

    def visit(self, schema: Schema, path: str, *, base64: bool, strict: bool) -> None:
        config: Schema = schema.get("config") or {}
        if "config" in schema:
            base64, strict = config.get("val_json_bytes") == "base64", bool(config.get("strict"))
        itself = bool(schema.get("strict", strict))
        self._note_facts(schema, config, strict=itself)
        self._note_flaws(schema, path, base64=base64)
        if itself and schema["type"] in _SIMPLER_ON_THE_WIRE:
            self._json_only = self._json_only or f"{path or 'the type'} is a strict {schema['type']}"
        for name, child in self._children(schema, base64=base64, strict=strict):
            self.visit(child, ".".join(filter(None, (path, name))), base64=base64, strict=strict)

    def check_strictness(self) -> None:
        """Refuse what can be read neither as it is nor by way of JSON."""
        if self._json_only and self.found.json_flaw:
            flaw = f"{self._json_only}, which is read by way of JSON, but {self.found.json_flaw}"
            self.found.flaw = self.found.flaw or flaw

    def _note_facts(self, schema: Schema, config: Schema, *, strict: bool) -> None:
        kind: str = schema["type"]
        self.found.strict |= strict
        if kind == "dataclass" and "__pydantic_serializer__" not in vars(schema["cls"]):
            self.found.has_stdlib_dataclass = True
            self.found.json_keeps_all = False
        if kind not in _OPEN or not _NAMING.isdisjoint(schema.get("config") or ()):
            self.found.has_aliases = True
        if kind not in _INERT or _asks(schema):
            self.found.runs_nothing = False
        if kind not in _JSON_ALIKE:
            self.found.json_as_python = False
        self._models += kind == "model"
        # Within a model there may be one of a subclass, and in fields that were not declared anything may be.
        is_open = self._models > 1 or _allows_more(schema, config)
        if is_open or kind not in _JSON_KEEPS | _STRUCTURE or "serialization" in schema:
            self.found.json_keeps_all = False

    def _note_flaws(self, schema: Schema, path: str, *, base64: bool) -> None:
        match schema["type"]:
            case "bytes" if not base64:
                self._object(
                    "is bytes, and JSON carries those only with the setting val_json_bytes='base64'", path, json=True
                )
            case "dict":
                self._check_keys(schema, path)
            case "union":
                self._check_union(schema, path)
            case "model-fields" | "dataclass-args" | "typed-dict":
                self._check_names(schema, path)
            case _:
                pass

    def _check_union(self, schema: Schema, path: str) -> None:
        leaves = list(self.schemas.leaves(schema))
        if schema.get("mode") == "left_to_right" and len({leaf.identity for leaf in leaves} - {"none"}) > 1:
            self._object("is a left-to-right union, which may be read as another member than was sent", path)
        for json in (False, True):
            if pair := confused(self.schemas, leaves, json=json):
                where = "in JSON" if json else "on the wire"
                self._object(f"may be {pair[0]} or {pair[1]}, which look alike {where}", path, json=json)

    def _check_keys(self, schema: Schema, path: str) -> None:
        keys = list(self.schemas.leaves(schema["keys_schema"])) if "keys_schema" in schema else []
        if unhashable := next((key.name for key in keys if key.form in ("array", "map")), None):
            self._object(f"has {unhashable} as a key, and keys are plain values", path)
        if refused := next((key.name for key in keys if key.form in ("null", "bin", "float")), None):
            self._object(f"has {refused} as a key, and JSON's keys are text", path, json=True)
        if constant := next((key.name for key in keys if _is_numeric_constant(key)), None):
            self._object(
                f"has {constant} as a key, and JSON's keys are text, which it is not read from", path, json=True
            )
        if len({key.identity for key in keys}) > 1:
            self._object("has keys of several types, and JSON's keys are all text", path, json=True)

    def _check_names(self, schema: Schema, path: str) -> None:
        for name, entry in fields_of(schema):
            alias, written = entry.get("validation_alias", name), written_name(name, entry)
            self.found.has_aliases |= alias != name
            paths: list[object] = cast("list[object]", alias) if isinstance(alias, list) else [alias]
            if written != name and written not in paths and [written] not in paths:
                self._object(f"is written as {written!r} and read under another alias", f"{path}.{name}".lstrip("."))

    def _children(self, schema: Schema, *, base64: bool, strict: bool) -> Iterator[tuple[str, Schema]]:
        kind: str = schema["type"]
        if kind == "definition-ref":
            place = (schema["schema_ref"], base64, strict)
            if place not in self._seen:
                self._seen.add(place)
                yield "", self.schemas.resolve(schema)
            else:
                # Most likely a model within itself.
                self.found.json_keeps_all = False
        elif kind in ("union", "tagged-union"):
            yield from (("", choice) for choice in choices(schema))
        elif kind in ("json-or-python", "lax-or-strict"):
            if not instance_of(schema):
                yield "", wire_side(schema)
        elif kind == "tuple":
            yield from (("", item) for item in schema["items_schema"])
        else:
            yield from (
                (name, entry["schema"])
                for name, entry in (fields_of(schema) if "fields" in schema and kind != "dataclass" else ())
            )
            yield from (("", schema[key]) for key in _INNER if key in schema)

    def _object(self, flaw: str, path: str, *, json: bool = False) -> None:
        said = f"{path or 'the type'} {flaw}"
        self.found.json_flaw = self.found.json_flaw or said
        if not json:
            self.found.flaw = self.found.flaw or said
