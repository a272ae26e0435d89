"""Which members of a union cannot be told apart once they are on the wire.

The declared type of the receiver says what a form stands for; a union leaves that open. So each form that a
union uses must lead back to one Python type:

- ``int | str``, ``str | None``, ``bytes | list[int]`` are good: their forms differ.
- ``str | datetime`` is not, for the text of a datetime is also a str. Nor is ``list | set``, or ``int | IntEnum``.
- A number written as text (``Decimal``, an enum of texts) cannot stand beside a number, which text is read as too.
- Records (models, dataclasses, TypedDicts) are good with a discriminator, with a ``Literal`` field that differs, or
  when neither could be read from what the other writes.

In JSON, bytes are text too, which makes a few more unions ambiguous there.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

from cqrsbus.bus.shapes import Leaf, Schema, Schemas, fields_of, written_name

#: Types whose text is never read as a number or a bool.
_WORDS: Final = frozenset({"str", "datetime", "date", "time", "timedelta", "uuid", "url", "multi-host-url"})
_PLAIN: Final = frozenset({"any", "none", "bool", "int", "float", "str"})


def confused(schemas: Schemas, leaves: list[Leaf], *, json: bool = False) -> tuple[str, str] | None:
    """Return the names of two members that look alike on the wire, or None.

    Args:
        schemas: The whole type.
        leaves: Every form of every member.
        json: Whether bytes are text.
    """
    return next(
        ((one.name, other.name) for one, other in combinations(leaves, 2) if _alike(schemas, one, other, json=json)),
        None,
    )


def _alike(schemas: Schemas, one: Leaf, other: Leaf, *, json: bool) -> bool:
    if one.schema is other.schema or (one.identity == other.identity and not _has_items(one)):
        return False
    forms = {one.form, other.form}
    if "any" in forms:
        return not {one.identity, other.identity} <= _PLAIN
    if forms == {"array"}:
        return one.identity != other.identity or _items_alike(schemas, one, other, json=json)
    if forms == {"map"}:
        if one.is_record and other.is_record:
            return _readable_as(schemas, one, other) or _readable_as(schemas, other, one)
        return one.is_record or other.is_record or _items_alike(schemas, one, other, json=json)
    return len(forms) == 1 or _texts_alike(one, other, json=json)


def _texts_alike(one: Leaf, other: Leaf, *, json: bool) -> bool:
    if one.form != "text":
        one, other = other, one
    if one.form != "text":
        return False
    if other.form == "bin":
        return json or one.identity != "str"
    return other.form in ("int", "float", "bool") and one.identity not in _WORDS


def _has_items(leaf: Leaf) -> bool:
    return leaf.form in ("array", "map") and not leaf.is_record


def _items_alike(schemas: Schemas, one: Leaf, other: Leaf, *, json: bool) -> bool:
    """Tell whether two containers may hold items that look alike; records in two kinds of list always do."""
    for mine, others in ((_items(one), _items(other)), (_keys(one), _keys(other))):
        left = [leaf for schema in mine for leaf in schemas.leaves(schema)]
        right = [leaf for schema in others for leaf in schemas.leaves(schema)]
        for a in left:
            for b in right:
                differing_records = a.is_record and b.is_record and a.identity != b.identity
                if differing_records or _alike(schemas, a, b, json=json):
                    return True
    return False


def _items(leaf: Leaf) -> list[Schema]:
    inner: Any = leaf.schema.get("items_schema") or leaf.schema.get("values_schema") or []
    return [inner] if isinstance(inner, Mapping) else list(inner)


def _keys(leaf: Leaf) -> list[Schema]:
    return [leaf.schema["keys_schema"]] if "keys_schema" in leaf.schema else []


def _readable_as(schemas: Schemas, sent: Leaf, read: Leaf) -> bool:
    """Tell whether the fields that one record writes would do just as well for another."""
    written = {written_name(name, entry): entry for name, entry in fields_of(sent.schema)}
    known = {written_name(name, entry): entry for name, entry in fields_of(read.schema)}
    takes_all = written.keys() <= known.keys() or read.schema.get("extra_behavior") == "allow"
    if not takes_all or any(_required(entry) and name not in written for name, entry in known.items()):
        return False
    shared = written.keys() & known.keys()
    return not any(_apart(schemas, written[name]["schema"], known[name]["schema"]) for name in shared)


def _required(entry: Schema) -> bool:
    return bool(entry.get("required", entry["schema"]["type"] != "default"))


def _apart(schemas: Schemas, one: Schema, other: Schema) -> bool:
    left, right = set(_constants(schemas, one)), set(_constants(schemas, other))
    return None not in left | right and not left & right


def _constants(schemas: Schemas, schema: Schema) -> Iterator[object]:
    """Yield the values that a field may have, and None if they are not a closed set."""
    for leaf in schemas.leaves(schema):
        if leaf.schema["type"] == "literal":
            yield from ((type(value), value) for value in leaf.schema["expected"])
        else:
            yield None
