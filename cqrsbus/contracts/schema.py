"""The JSON schema of a declared type, as it is on the wire.

It is pydantic's, with these differences, for it tells what travels and not what a form could be filled in with:

1. A writer writes every field it has, also one with a default: that one is required in its schema. Computed fields are
   not written.
2. A reader takes a field under its name and under each of its aliases: those are listed in ``x-names``.
3. What a validator of the application's own makes of its input cannot be known: a type that is validated before, or
   instead of, pydantic's own rules may be given anything, unless it says itself what it takes.
4. Defaults, titles and descriptions stay at home.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticOmit

from cqrsbus.contracts.canonical import Schema, tidy

Side: TypeAlias = Literal["reader", "writer"]
_Core: TypeAlias = Mapping[str, Any]
_Json: TypeAlias = dict[str, Any]

#: What is read as a number is read as text as well.
_TEXT_OR_NUMBER = {"type": ["string", "number"]}


@lru_cache(maxsize=2048)
def schema_of(adapter: TypeAdapter[Any], side: Side) -> Schema:
    """Return what a side writes, or may be given to read; what pydantic has no schema for is anything, ``{}``.

    Args:
        adapter: The declared type.
        side: ``"writer"`` or ``"reader"``.
    """
    mode: Literal["serialization", "validation"] = "serialization" if side == "writer" else "validation"
    try:
        return tidy(adapter.json_schema(mode=mode, schema_generator=_OnTheWire, by_alias=False))
    except (PydanticInvalidForJsonSchema, PydanticOmit):
        return {}


class _OnTheWire(GenerateJsonSchema):
    """Pydantic's generator, with the differences named above."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default", "skipped-discriminator"}  # noqa: RUF012

    def sort(self, value: _Json, parent_key: str | None = None) -> _Json:
        return value  # it is tidied, and so sorted, afterwards

    # 1: what is written.

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "validation":
            return super().field_is_required(field, total)
        always = field["type"] != "typed-dict-field" or field.get("required", total)
        return bool(always) and field.get("serialization_exclude_if") is None

    def decimal_schema(self, schema: Any) -> _Json:
        # It is written as text that is read as a number as well.
        text = {"type": "string", "format": "decimal"}
        return {"anyOf": [{"type": "number"}, text]} if self.mode == "validation" else text

    def computed_field_schema(self, schema: Any) -> _Json:
        raise PydanticOmit

    # 2: under which names.

    def model_fields_schema(self, schema: Any) -> _Json:
        return self._named(super().model_fields_schema(schema), schema["fields"].items())

    def typed_dict_schema(self, schema: Any) -> _Json:
        return self._named(super().typed_dict_schema(schema), schema["fields"].items())

    def dataclass_args_schema(self, schema: Any) -> _Json:
        fields = ((field["name"], field) for field in schema["fields"])
        return self._named(super().dataclass_args_schema(schema), fields)

    def _named(self, generated: _Json, fields: Iterable[tuple[str, _Core]]) -> _Json:
        properties: dict[str, _Json] = generated.get("properties", {})
        required: list[str] = generated.get("required", [])
        for name, field in fields:
            if name not in properties:
                continue
            if self.mode == "serialization":
                written = str(field.get("serialization_alias", name))
                properties[written] = properties.pop(name)
                required[:] = [written if each == name else each for each in required]
            elif (alias := field.get("validation_alias")) is not None:
                _also_called(name, alias, properties, required)
        return generated

    # 3: what cannot be known.

    def function_before_schema(self, schema: Any) -> _Json:
        return self._own(schema, super().function_before_schema)

    def function_wrap_schema(self, schema: Any) -> _Json:
        return self._own(schema, super().function_wrap_schema)

    def function_plain_schema(self, schema: Any) -> _Json:
        return self._own(schema, super().function_plain_schema)

    def _own(self, schema: _Core, generate: Callable[[Any], _Json]) -> _Json:
        unknown = self.mode == "validation" and "json_schema_input_schema" not in schema
        return {} if unknown else generate(schema)

    def enum_schema(self, schema: Any) -> _Json:
        cls: type[Enum] = schema["cls"]
        unknown = self.mode == "validation" and any(
            "_missing_" in vars(each) for each in cls.__mro__ if each is not Enum
        )
        return {} if unknown else super().enum_schema(schema)

    def str_schema(self, schema: Any) -> _Json:
        generated = super().str_schema(schema)
        coerced = schema.get("coerce_numbers_to_str", self._config.coerce_numbers_to_str)
        return {**generated, **_TEXT_OR_NUMBER} if coerced and self.mode == "validation" else generated

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> _Json:
        return {}

    # 4: what stays at home.

    def default_schema(self, schema: Any) -> _Json:
        return self.generate_inner(schema["schema"])


def _also_called(name: str, alias: object, properties: dict[str, _Json], required: list[str]) -> None:
    """Note under which other names a field is read; one that may come from deeper down cannot be judged."""
    paths = [[alias]] if isinstance(alias, str) else cast("list[Any]", alias)
    # A single path is a list of its steps, several are a list of those.
    paths = [paths] if paths and not isinstance(paths[0], list) else paths
    if any(len(path) != 1 for path in paths):
        properties[name] = {}
        required[:] = [each for each in required if each != name]
    properties[name] = {**properties[name], "x-names": sorted({str(path[0]) for path in paths} - {name})}
