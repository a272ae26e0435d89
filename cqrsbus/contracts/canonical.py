"""A JSON schema reduced to what matters on the wire, so that equal types have equal schemas and equal hashes.

- Only keywords that say what values are read or written stay; titles, descriptions, defaults and examples go.
- Definitions are named by number, in the order in which they are met, and unused ones go: what a class is called
  does not matter, nor in which order anything was declared.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, TypeAlias, cast

Schema: TypeAlias = Mapping[str, Any]

_REF: Final = "#/$defs/"
_ONE: Final = frozenset({"items", "additionalProperties", "propertyNames"})
_LISTED: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED: Final = frozenset({"properties", "patternProperties"})
_UNORDERED: Final = frozenset({"required", "enum", "x-names"})
_AS_IS: Final = frozenset({
    "type", "const", "format", "pattern", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minProperties", "maxProperties",
})  # fmt: skip


def tidy(schema: Schema) -> Schema:
    """Return what matters of a schema.

    Args:
        schema: As pydantic generates it: every reference is to its own ``$defs``.
    """
    return _Tidying(schema.get("$defs", {})).whole(schema)


def canonical(value: object) -> bytes:
    """Write a plain value as JSON in the one way that equal values have."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(schema: Schema) -> str:
    """Return a short hash of a tidied schema: equal schemas have equal ones, in every process."""
    return sha256(canonical(schema)).hexdigest()[:16]


class _Tidying:
    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions
        self._numbers: dict[str, str] = {}

    def whole(self, schema: Schema) -> Schema:
        tidied = self._schema(schema)
        definitions: dict[str, Any] = {}
        # What a definition refers to is met, and numbered, while that one is tidied.
        while missing := [name for name, number in self._numbers.items() if number not in definitions]:
            for name in missing:
                definitions[self._numbers[name]] = self._schema(self._definitions.get(name, {}))
        return {**tidied, "$defs": definitions} if definitions else tidied

    def _schema(self, schema: Schema) -> dict[str, Any]:
        return {key: self._value(key, schema[key]) for key in sorted(schema) if self._matters(key)}

    @staticmethod
    def _matters(key: str) -> bool:
        return key in _ONE or key in _LISTED or key in _NAMED or key in _UNORDERED or key in _AS_IS or key == "$ref"

    def _value(self, key: str, value: Any) -> Any:
        if key == "$ref":
            return self._reference(value)
        if key in _ONE and isinstance(value, Mapping):
            return self._schema(cast("Schema", value))
        if key in _LISTED:
            return [self._schema(each) for each in value]
        if key in _NAMED:
            return {name: self._schema(value[name]) for name in sorted(value)}
        return sorted(value, key=canonical) if key in _UNORDERED else value

    def _reference(self, reference: str) -> str:
        name = reference.removeprefix(_REF)
        return _REF + self._numbers.setdefault(name, str(len(self._numbers)))
