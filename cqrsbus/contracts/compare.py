"""Whether a reader reads what a writer writes.

A break is something that the writer's type lets it write and the reader is sure to refuse. The rules:

1. Only what is certain is a break. Where a schema says nothing, or nothing that is understood here, all is well;
   and lengths, ranges and patterns are the reader's business: they refuse single values, and say so.
2. A field that the reader requires must always be written. A field that the reader does not know is a break only if it
   forbids others. A field with a default need not be written.
3. Of a union, each member that may be written must be read by some member of the reader's. So must each value of an
   enum or ``Literal``.
4. Types that contain themselves are compared once for each pair that meet.
5. The other side's schema comes from elsewhere: it may be nonsense, and as deep and wide as its sender likes. So the
   number of steps is bounded; what lies beyond is not judged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from cqrsbus.contracts.canonical import Schema
from cqrsbus.contracts.scalars import kind_of, name_of, reads, same

MAX_BREAKS: Final = 20
_MAX_STEPS: Final = 2_000
_MAX_ALTERNATIVES: Final = 256
_MAX_DEPTH: Final = 64
_MAX_REFERENCES: Final = 8


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that is written and not read.

    Args:
        path: Which part of the message: ``items[].price``; empty for all of it.
        reason: What is wrong with it.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or 'the message'} {self.reason}"


def breaks(written: Schema, read: Schema) -> list[Break]:
    """Compare what one side writes with what the other reads; returns at most 20 breaks.

    Args:
        written: The writer's schema, with its ``$defs``.
        read: The reader's.
    """
    return _Comparison(_Document(written), _Document(read)).all()


class _Document:
    """A schema with its definitions at hand."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._definitions = _mapping(root.get("$defs"))

    def resolve(self, schema: Schema) -> Schema:
        for _ in range(_MAX_REFERENCES):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            schema = _mapping(self._definitions.get(reference.removeprefix("#/$defs/")))
        return {}

    def alternatives(self, schema: Schema) -> list[Schema]:
        """The members of a union, or the one thing that the schema is."""
        found = list(islice(self._unfold(schema), _MAX_ALTERNATIVES))
        return found if len(found) < _MAX_ALTERNATIVES else [{}]

    def _unfold(self, schema: Schema, depth: int = 0) -> Iterator[Schema]:
        resolved = self.resolve(schema)
        members = [*_schemas(resolved.get("anyOf")), *_schemas(resolved.get("oneOf"))]
        if depth > _MAX_REFERENCES or "allOf" in resolved:
            yield {}
        elif members:
            for member in members:
                yield from self._unfold(member, depth + 1)
        elif isinstance(kinds := resolved.get("type"), list):
            yield from ({**resolved, "type": kind} for kind in cast("list[object]", kinds))
        else:
            yield resolved


class _Comparison:
    def __init__(self, written: _Document, read: _Document) -> None:
        self._written = written
        self._read = read
        self._steps = 0
        #: Pairs that are being compared: where one meets itself inside, it is as good as it is outside.
        self._open: set[tuple[int, int]] = set()

    def all(self) -> list[Break]:
        return self._compare(self._written.root, self._read.root, "")[:MAX_BREAKS]

    def _compare(self, written: Schema, read: Schema, path: str) -> list[Break]:
        written, read = self._written.resolve(written), self._read.resolve(read)
        pair = (id(written), id(read))
        if pair in self._open or len(self._open) >= _MAX_DEPTH:
            return []
        self._open.add(pair)
        try:
            readers = self._read.alternatives(read)
            writers = [value for each in self._written.alternatives(written) for value in _values(each)]
            return [found for each in writers for found in self._member(each, readers, path)]
        finally:
            self._open.remove(pair)

    def _member(self, written: Schema, readers: list[Schema], path: str) -> list[Break]:
        """What keeps one alternative from being read by any of the reader's."""
        refusals: list[list[Break]] = []
        for reader in readers:
            found = self._pair(written, reader, path)
            if not found:
                return []
            if len(readers) == 1 or (kind_of(written), kind_of(reader)) == ("object", "object"):
                refusals.append(found)
        if refusals:
            return min(refusals, key=len)
        return [_unread(written, readers, path)] if readers else []

    def _pair(self, written: Schema, read: Schema, path: str) -> list[Break]:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            return []
        if not _reads_kind(written, read):
            return [_unread(written, [read], path)]
        match kind_of(written), kind_of(read):
            case "object", "object":
                return [*self._fields(written, read, path), *self._missing(written, read, path)]
            case "array", "array":
                return self._items(written, read, path)
            case _:
                return []

    def _fields(self, written: Schema, read: Schema, path: str) -> Iterator[Break]:
        """What is written, field by field."""
        others, known = read.get("additionalProperties"), _names(read)
        for name, schema in _properties(written).items():
            field = ".".join(filter(None, (path, name)))
            if name in known:
                yield from self._compare(schema, known[name], field)
            elif "patternProperties" in read:
                continue
            elif others is False:
                yield Break(field, "is written, and the reader forbids fields that it does not know")
            elif isinstance(others, Mapping):
                yield from self._compare(schema, cast("Schema", others), field)
        each = written.get("additionalProperties")
        if isinstance(each, Mapping) and isinstance(others, Mapping):
            yield from self._compare(cast("Schema", each), cast("Schema", others), f"{path}[]")

    def _missing(self, written: Schema, read: Schema, path: str) -> Iterator[Break]:
        """What is read, and not written, or not always."""
        # A map without declared fields may have any.
        open_ended = "properties" not in written or written.get("additionalProperties") not in (None, False)
        fields, always = _properties(written), _texts(written.get("required"))
        for name in _texts(read.get("required")):
            names = {name, *_texts(_mapping(_properties(read).get(name)).get("x-names"))}
            field = ".".join(filter(None, (path, name)))
            if not names & fields.keys():
                if not open_ended:
                    yield Break(field, "is required, and not written")
            elif not names & always:
                yield Break(field, "is required, and may be left out")

    def _items(self, written: Schema, read: Schema, path: str) -> list[Break]:
        fixed, slots = _schemas(written.get("prefixItems")), _schemas(read.get("prefixItems"))
        rest = read.get("items")
        if fixed and slots:
            most, least = read.get("maxItems"), read.get("minItems")
            if (isinstance(most, int) and len(fixed) > most) or (isinstance(least, int) and len(fixed) < least):
                return [Break(path, f"is written with {len(fixed)} items, and {len(slots)} are read")]
            pairs = [*zip(fixed, slots, strict=False)]
        elif fixed and isinstance(rest, Mapping):
            pairs = [(each, cast("Schema", rest)) for each in fixed]
        elif not slots and isinstance(each := written.get("items"), Mapping) and isinstance(rest, Mapping):
            pairs = [(cast("Schema", each), cast("Schema", rest))]
        else:
            pairs = []
        return [found for one, other in pairs for found in self._compare(one, other, f"{path}[]")]


def _reads_kind(written: Schema, read: Schema) -> bool:
    if "const" in read or "enum" in read:
        values: list[object] = [read["const"]] if "const" in read else _list(read.get("enum"))
        if "const" in written:
            return any(same(written["const"], value) for value in values)
        return any(reads({"const": value}, written) or reads(written, {"const": value}) for value in values)
    return reads(written, read)


def _unread(written: Schema, readers: list[Schema], path: str) -> Break:
    return Break(path, f"is written as {name_of(written)}, and read as {' or '.join(map(name_of, readers[:5]))}")


def _values(schema: Schema) -> list[Schema]:
    """Each value of an enum as an alternative of its own."""
    values = _list(schema.get("enum"))
    return [{"const": value} for value in values] if values else [schema]


def _names(schema: Schema) -> dict[str, Schema]:
    """The fields of a reader, by each of their names."""
    fields = _properties(schema)
    aliases = {alias: each for each in fields.values() for alias in _texts(each.get("x-names"))}
    return {**aliases, **fields}


def _properties(schema: Schema) -> dict[str, Schema]:
    return {str(name): _mapping(each) for name, each in _mapping(schema.get("properties")).items()}


def _mapping(value: object) -> Schema:
    return cast("Schema", value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _schemas(value: object) -> list[Schema]:
    return [_mapping(each) for each in _list(value)]


def _texts(value: object) -> set[str]:
    return {each for each in _list(value) if isinstance(each, str)}
