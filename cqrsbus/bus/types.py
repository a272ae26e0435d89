"""Declared types, compiled once: how values of a type are checked, and how a misfit is reported.

Whatever a pydantic ``TypeAdapter`` takes may be declared: models, dataclasses, TypedDicts, plain types, and
containers and unions of them. A type that could come back as something else is refused here, when it is
compiled, not when the first message is lost (see unions.py for which those are).

A report of a misfit says where and what was expected, never what was found: the input may be a secret and is
as large as its sender likes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, overload

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import (
    PydanticSerializationError,
    SchemaError,
    SchemaSerializer,
    SchemaValidator,
    core_schema,
    to_json,
)

from cqrsbus.bus.type_facts import TypeFacts, examine
from cqrsbus.cause import caused_by
from cqrsbus.errors import InvalidMessageError

T = TypeVar("T")

MAX_ENTRIES: Final = 20
_MAX_LOC_PARTS: Final = 16
_MAX_TEXT: Final = 200
#: Above this many findings, making the list of them would cost more than it tells.
_COUNTABLE: Final = 1_000
BYTES_AS_BASE64: Final = ConfigDict(val_json_bytes="base64")


class MessageType(Generic[T]):
    """A declared type, ready to check what comes from the wire; made by ``message_type``.

    Args:
        annotation: The type as it was declared.

    Raises:
        InvalidMessageError: Pydantic does not know the type, or its values could not be told apart on the wire.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.name: str = getattr(annotation, "__name__", None) or str(annotation)
        configured = _adapter(annotation, self.name, BYTES_AS_BASE64)
        self.adapter: TypeAdapter[T] = configured or _adapter(annotation, self.name, None)
        # The adapter's own methods add a Python call to each message.
        self._validator = self.adapter.validator
        self.serializer: SchemaSerializer = self.adapter.serializer
        self.facts: TypeFacts = examine(self.adapter.core_schema, base64=configured is not None)
        if self.facts.flaw:
            raise InvalidMessageError(f"{self.name} cannot be a message: {self.facts.flaw}")
        # Here, and not in the facts, for what is asked for each message.
        self.plain_model = self.facts.plain_model
        #: Whether its values are maps of texts, numbers and the like.
        self.is_flat = self.plain_model is not None and not self.plain_model.has_bytes
        self.runs_nothing = self.facts.runs_nothing
        self._has_aliases = self.facts.has_aliases
        self._validate = self._validator.validate_python
        # A strict type takes a text for a datetime from JSON alone, and msgpack has no datetime either.
        self._reads_as_json = self.facts.strict and not self.facts.json_flaw
        self._validate_all: Callable[[object], list[Any]] | None = None

    def __repr__(self) -> str:
        return f"MessageType({self.name})"

    def validate(self, tree: object) -> T:
        """Check plain values against the type.

        Args:
            tree: What a body was decoded to.

        Raises:
            InvalidMessageError: It does not fit; with at most 20 entries that say where, and never the input. Or a
                validator failed in a way of its own, which is the cause.
        """
        if self._reads_as_json:
            return self.validate_json(self._as_json(tree))
        try:
            value: T = (
                self._validator.validate_python(tree, by_alias=True, by_name=True)
                if self._has_aliases
                else self._validate(tree)
            )
        except ValidationError as error:
            raise caused_by(misfit(error, self.name), None)
        except Exception as error:  # noqa: BLE001  # a validator of somebody's own may raise anything
            raise caused_by(self._broken(error), error)
        return value

    def validate_all(self, trees: Sequence[object]) -> list[Any] | None:
        """Check several values at once, in less time than one by one; None if one of them does not fit, or if somebody
        could tell the difference.

        Args:
            trees: What bodies were decoded to.
        """
        if (
            not self.runs_nothing
            or self._reads_as_json
            or self._has_aliases
            or type(self._validator) is not SchemaValidator
        ):
            return None
        if self._validate_all is None:
            schema = core_schema.list_schema(self.adapter.core_schema, fail_fast=True)
            self._validate_all = SchemaValidator(schema).validate_python
        try:
            return self._validate_all(trees)
        except Exception:  # noqa: BLE001  # one by one it is told which of them it was, and why
            return None

    def validate_json(self, body: bytes) -> T:
        """Check a JSON text against the type.

        Args:
            body: The text, in UTF-8.

        Raises:
            InvalidMessageError: It is no JSON or does not fit; as for ``validate``.
        """
        if self.facts.json_flaw:
            self.require_json()
        try:
            value: T = (
                self._validator.validate_json(body, by_alias=True, by_name=True)
                if self.facts.has_aliases
                else self._validator.validate_json(body)
            )
        except ValidationError as error:
            raise caused_by(misfit(error, self.name), None)
        except Exception as error:  # noqa: BLE001  # a validator of somebody's own may raise anything
            raise caused_by(self._broken(error), error)
        return value

    def require_json(self) -> None:
        """Raise InvalidMessageError if JSON cannot carry the type."""
        if self.facts.json_flaw:
            raise InvalidMessageError(f"{self.name} cannot travel as JSON: {self.facts.json_flaw}")

    def _broken(self, error: Exception) -> InvalidMessageError:
        return InvalidMessageError(f"the body cannot be checked against {self.name}: {type(error).__name__} was raised")

    def _as_json(self, tree: object) -> bytes:
        try:
            return to_json(tree, bytes_mode="base64", inf_nan_mode="constants")
        except (PydanticSerializationError, ValueError, RecursionError):
            raise caused_by(
                InvalidMessageError(f"the body does not fit {self.name}: it has values of no known form"), None
            )


@overload
def message_type(annotation: type[T]) -> MessageType[T]: ...
@overload
def message_type(annotation: Any) -> MessageType[Any]: ...
def message_type(annotation: Any) -> MessageType[Any]:
    """Compile a declared type, or return it if that was done before.

    Args:
        annotation: Anything a pydantic TypeAdapter takes.

    Raises:
        InvalidMessageError: It cannot be carried; the reason names the part that is in the way.
    """
    if isinstance(annotation, type):
        return _compiled(annotation, "")
    try:
        hash(annotation)
    except TypeError:
        return MessageType(annotation)
    # `int | str == str | int`, though the first is not the second where the order counts: the text tells.
    return _compiled(annotation, str(annotation))


@lru_cache(maxsize=1024)
def _compiled(annotation: Any, _text: str) -> MessageType[Any]:
    return MessageType(annotation)


def misfit(error: ValidationError, name: str) -> InvalidMessageError:
    """Turn pydantic's findings into an error that may cross the wire.

    Args:
        error: The findings; they hold the input, the result does not.
        name: The type that was declared.
    """
    count = error.error_count()
    found: list[Any] = []
    if count <= _COUNTABLE:
        found = error.errors(include_input=False, include_context=False, include_url=False)[:MAX_ENTRIES]
    entries = [_entry(each) for each in found]
    first = f"; {'.'.join(map(str, entries[0]['loc'])) or 'it'}: {entries[0]['msg']}" if entries else ""
    findings = "1 finding" if count == 1 else f"{count} findings"
    return InvalidMessageError(f"the body does not fit {name}, {findings}{first}", entries=entries)


def _entry(found: Mapping[str, Any]) -> dict[str, Any]:
    loc = [part if isinstance(part, int) else str(part)[:_MAX_TEXT] for part in found["loc"][:_MAX_LOC_PARTS]]
    # This one message of pydantic's quotes the tag that it was given.
    unknown_tag = found["type"] == "union_tag_invalid"
    message = "Input tag is none of the expected tags" if unknown_tag else str(found["msg"])[:_MAX_TEXT]
    return {"loc": loc, "msg": message, "type": str(found["type"])}


def _adapter(annotation: Any, name: str, config: ConfigDict | None) -> Any:
    """Return the compiled type; None if it has a configuration of its own, and so takes no other."""
    try:
        adapter = TypeAdapter(annotation, config=config)
        # A name that is not defined yet is complained of at the first use only.
        adapter.core_schema["type"]  # pyright: ignore[reportUnusedExpression]
        return adapter
    except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, NameError, TypeError) as error:
        if isinstance(error, PydanticUserError) and error.code == "type-adapter-config-unused":
            return None
        reason = str(error).partition("\n")[0]
        raise caused_by(InvalidMessageError(f"{name} cannot be a message: {reason}"), error)
