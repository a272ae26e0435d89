"""What an exception is made of: the arguments of its constructor, taken from the attributes of the same names.

- A class without an ``__init__`` of its own has its ``args``, and so has ``*args``; any other parameter has the
  attribute of its name. Of a parameter with a default, the attribute may be missing: then it has its default again.
- A constructor that only passes its arguments on, as in ``super().__init__(f"{folder} is locked")``, keeps none of
  them: its class is refused when it is declared.
- With an annotation, a field is checked against it where the exception is made again; without one it has plain
  values. The annotations are looked at once, when the class is declared.
- The fields travel as a map. What a newer class has in addition is ignored, as in any message.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from inspect import Parameter
from types import CodeType, FunctionType
from typing import Any, Final, NotRequired, cast

# Before Python 3.12 pydantic wants this one.
from typing_extensions import TypedDict

from cqrsbus.bus.annotations import UnresolvedError, resolve
from cqrsbus.bus.types import BYTES_AS_BASE64, MessageType, message_type
from cqrsbus.errors import InvalidMessageError

_ARGS: Final = (Parameter("args", Parameter.VAR_POSITIONAL),)
_MISSING: Final = object()
_LOST: Final = "its constructor takes {0!r}, and it has no such attribute: set self.{0}"


class FieldsError(Exception):
    """An exception cannot give its fields, or cannot be made of those it is given."""


class ErrorFields:
    """How exceptions of one class are taken apart and put together; made by ``error_fields``.

    Args:
        cls: The class.

    Raises:
        FieldsError: Its constructor keeps an argument nowhere, or has annotations that cannot be resolved or carried.
    """

    def __init__(self, cls: type[Exception]) -> None:
        self._cls = cls
        self._parameters = _parameters(cls)
        _refuse_lost(cls, self._parameters)
        self.type: MessageType[Mapping[str, Any]] = _field_types(cls, self._parameters)

    def take(self, error: Exception) -> dict[str, object]:
        """Return the fields of an exception.

        Raises:
            FieldsError: An attribute is missing.
        """
        fields: dict[str, object] = {}
        for parameter in self._parameters:
            value = self._gathered(error, parameter) if _gathers(parameter) else _attribute(error, parameter.name)
            if value is not _MISSING:
                fields[parameter.name] = value
            elif _is_required(parameter):
                raise FieldsError(_LOST.format(parameter.name))
        return fields

    def make(self, fields: Mapping[str, Any]) -> Exception:
        """Make an exception of fields that fit ``type``.

        Raises:
            FieldsError: The constructor does not take them.
        """
        args: list[object] = []
        kwargs: dict[str, object] = {}
        for parameter in self._parameters:
            match parameter.kind:
                case Parameter.VAR_POSITIONAL:
                    args.extend(fields.get(parameter.name, ()))
                case Parameter.VAR_KEYWORD:
                    kwargs.update(fields.get(parameter.name, {}))
                case Parameter.KEYWORD_ONLY:
                    kwargs.update({name: fields[name] for name in [parameter.name] if name in fields})
                case _:
                    args.append(fields.get(parameter.name, parameter.default))
        try:
            made: object = self._cls(*args, **kwargs)
        except Exception as error:  # a constructor may raise anything
            raise FieldsError(f"its constructor raised {type(error).__name__}") from error
        if not isinstance(made, self._cls):
            raise FieldsError(f"its constructor made a {type(made).__name__}")
        return made

    def _gathered(self, error: Exception, parameter: Parameter) -> object:
        """What stands for ``*args`` or ``**kwargs``; left out if there is nothing of this name and form."""
        value = _attribute(error, parameter.name)
        if parameter.kind is Parameter.VAR_KEYWORD:
            return dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else _MISSING
        if parameter.name == "args":
            value = self._further_args(error)
        return list(cast("Iterable[object]", value)) if isinstance(value, (tuple, list)) else _MISSING

    def _further_args(self, error: Exception) -> tuple[object, ...]:
        """``args`` without those at its front that are named parameters, if the constructor passed them on."""
        named = [each.name for each in self._parameters if each.kind in _POSITIONAL]
        values = [_attribute(error, name) for name in named]
        front = error.args[: len(named)]
        passed_on = len(front) == len(named) and all(one is other for one, other in zip(front, values, strict=True))
        return error.args[len(named) :] if passed_on else error.args


@lru_cache(maxsize=1024)
def error_fields(cls: type[Exception]) -> ErrorFields:
    """Look at a class of exceptions, or return what was found before.

    Raises:
        FieldsError: It cannot be taken apart.
    """
    return ErrorFields(cls)


_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _parameters(cls: type[Exception]) -> tuple[Parameter, ...]:
    constructor: Callable[..., object] = cls.__init__
    if not inspect.isfunction(inspect.unwrap(constructor)):
        return _ARGS
    _self, *parameters = inspect.signature(constructor).parameters.values()
    return tuple(parameters)


def _refuse_lost(cls: type[Exception], parameters: Iterable[Parameter]) -> None:
    lost = [each.name for each in parameters if not _gathers(each) and not hasattr(cls, each.name)]
    if lost and _keeps_nothing(cls):
        raise FieldsError(_LOST.format(lost[0]))


def _keeps_nothing(cls: type[Exception]) -> bool:
    """Whether all that its constructor certainly does is to call those of its bases."""
    written = [vars(base) for base in cls.__mro__ if base.__module__ != "builtins"]
    if any(name in each for each in written for name in ("__new__", "__getattr__", "__getattribute__")):
        return False
    constructors = [each["__init__"] for each in written if "__init__" in each]
    harmless = {"super", "__init__", *(base.__name__ for base in cls.__mro__)}
    return all(isinstance(each, FunctionType) and _names(each.__code__) <= harmless for each in constructors)


def _names(code: CodeType) -> set[str]:
    """Everything that code may use by name, also in functions within."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_names}.union(*inner)


def _field_types(cls: type[Exception], parameters: Iterable[Parameter]) -> MessageType[Mapping[str, Any]]:
    """A TypedDict of the parameters, so that all are checked at once, as any other message is."""
    written = inspect.unwrap(cls.__init__)
    fields = {parameter.name: _field_type(parameter, written) for parameter in parameters}
    # Made of what was found, which no type checker can follow.
    fields_type: Any = TypedDict(cls.__name__, fields)  # type: ignore[misc]
    setattr(fields_type, "__pydantic_config__", BYTES_AS_BASE64)  # noqa: B010
    try:
        return message_type(fields_type)
    except InvalidMessageError as error:
        raise FieldsError(f"its fields cannot be carried: {error.reason}") from error


def _field_type(parameter: Parameter, written: FunctionType) -> Any:
    annotation: Any = Any
    if parameter.annotation is not Parameter.empty:
        try:
            annotation = resolve(parameter.annotation, written)
        except UnresolvedError as error:
            raise FieldsError(
                f"the annotation {parameter.annotation!r} of {parameter.name!r} cannot be resolved: {error}"
            ) from error
    if parameter.kind is Parameter.VAR_POSITIONAL:
        annotation = list[annotation]
    elif parameter.kind is Parameter.VAR_KEYWORD:
        annotation = dict[str, annotation]
    return annotation if _is_required(parameter) else NotRequired[annotation]


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty and not _gathers(parameter)


def _gathers(parameter: Parameter) -> bool:
    return parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _attribute(error: Exception, name: str) -> object:
    try:
        value: object = getattr(error, name, _MISSING)
    except Exception as raised:  # a property may raise anything
        raise FieldsError(f"its attribute {name!r} raises {type(raised).__name__}") from raised
    return value
