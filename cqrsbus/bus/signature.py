"""Find out what a handler takes and gives, once, when it is declared.

- The message goes to the one parameter that has no default and is not a Context. Its annotation is the type the
  message is validated into. There is exactly one: a handler with none or several is refused.
- A parameter annotated with ``Context``, or ``Context | None``, gets the context, wherever it stands.
- One annotated with ``Depends`` gets what that returns or yields: see :mod:`cqrsbus.bus.dependency_graph`.
- Other parameters have defaults and are left alone, as are ``*args`` and ``**kwargs``.
- A query handler says what it answers. An async generator answers with a stream of items: it declares
  ``AsyncIterator[Item]``, and only a query can be answered so.
- The declared types are compared with the message's class only where a mistake is certain: an Event in a command
  handler, or an answer whose class has nothing to do with the ``R`` of its ``Query[R]``.

What is wrong with the function itself is a TypeError; what does not fit the message's class a TopologyError.
Both name the function with file and line, and say what to do.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter

from cqrsbus.bus.annotations import UnresolvedError, alternatives, resolve
from cqrsbus.bus.answers import check_answer, declared_answer
from cqrsbus.bus.callables import Described, an, describe, listed
from cqrsbus.bus.calling import caller
from cqrsbus.bus.context import Context
from cqrsbus.bus.dependency_graph import FromContext, FromMessage, Node, Source, depended_on, node_of
from cqrsbus.bus.dependency_plan import plan_for
from cqrsbus.bus.depends import Depends
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.parameters import depends_of, is_context, parameters_of, unresolved
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Command, Event, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a handler takes and gives; the fields are those of Handler."""

    name: str
    location: str
    is_async: bool
    is_stream: bool
    message_parameter: str
    message_annotation: object
    context_parameter: str | None
    returns: object
    dependencies: Node | None
    call: Callable[[object, Context], object]


def analyse(function: Callable[..., object], kind: HandlerKind) -> Signature:
    """Find out what a function takes and gives as a handler.

    Args:
        function: The function, or anything else that ``describe`` takes.
        kind: Which verb it is to answer.

    Raises:
        TypeError: The function cannot be a handler of this kind as it is written.
        TopologyError: It does not fit the class of its message.
    """
    described = describe(function)
    if described.is_stream and kind is not HandlerKind.QUERY:
        raise TypeError(
            f"{described} is an async generator, which only a query handler may be: "
            f"for {an(kind.value)} handler write 'async def' without 'yield'"
        )
    parameters = parameters_of(described)
    needed = {p.name: depends for p in parameters if (depends := depends_of(described, p)) is not None}
    plain = [parameter for parameter in parameters if parameter.name not in needed]
    context = _context_parameter(described, plain)
    message = _message_parameter(described, [parameter for parameter in plain if parameter.name != context])
    annotation = _message_annotation(described, message)
    _check_kind(described, kind, annotation)
    returns = declared_answer(described, kind, _returns(described))
    if kind is HandlerKind.QUERY:
        check_answer(described, annotation, returns)
    return Signature(
        name=described.name,
        location=described.location,
        is_async=described.is_async,
        is_stream=described.is_stream,
        message_parameter=message.name,
        message_annotation=annotation,
        context_parameter=context,
        returns=returns,
        dependencies=_dependencies(described, parameters, needed, message.name, context) if needed else None,
        call=caller(described, parameters, message.name, context),
    )


def _context_parameter(described: Described, parameters: list[Parameter]) -> str | None:
    found = [parameter.name for parameter in parameters if is_context(parameter)]
    if len(found) > 1:
        raise TypeError(f"{described} has {len(found)} Context parameters ({listed(found)}): keep one")
    return found[0] if found else None


def _message_parameter(described: Described, parameters: list[Parameter]) -> Parameter:
    required = [parameter for parameter in parameters if parameter.default is Parameter.empty]
    if not required:
        raise TypeError(
            f"{described} takes no message: give it one parameter without a default, annotated with the message's type"
        )
    if _is_undecorated_method(described, required[0]):
        raise TypeError(
            f"{described} is a method, and nobody would pass {required[0].name!r}: "
            f"register the bound method of an instance instead, as in group.command_handler(...)(instance.method)"
        )
    if len(required) > 1:
        raise TypeError(
            f"{described} has {len(required)} parameters without a default "
            f"({listed(p.name for p in required)}) and only one can take the message: give the others a default"
        )
    return required[0]


def _is_undecorated_method(described: Described, first: Parameter) -> bool:
    scope = getattr(described.written, "__qualname__", "").rpartition(".")[0]
    in_class = scope and not scope.endswith("<locals>")
    return bool(in_class) and first.name in ("self", "cls") and first.annotation is Parameter.empty


def _dependencies(
    described: Described, parameters: list[Parameter], needed: dict[str, Depends], message: str, context: str | None
) -> Node:
    sources: list[tuple[Parameter, Source]] = []
    for parameter in parameters:
        if parameter.name in needed:
            sources.append((parameter, depended_on(needed[parameter.name], (described,))))
        elif parameter.name == message:
            sources.append((parameter, FromMessage(parameter.annotation)))
        elif parameter.name == context:
            sources.append((parameter, FromContext()))
    node = node_of(described, sources)
    plan_for(node)
    return node


def _message_annotation(described: Described, message: Parameter) -> object:
    annotation: object = message.annotation
    if annotation is Parameter.empty:
        raise TypeError(
            f"parameter {message.name!r} of {described} has no annotation: "
            f"annotate it with the message's type, as in '{message.name}: NewEmail'"
        )
    return annotation


def _check_kind(described: Described, kind: HandlerKind, annotation: object) -> None:
    for alternative in alternatives(annotation):
        if not isinstance(alternative, type) or not issubclass(alternative, (Command, Query, Event)):
            continue
        if not issubclass(alternative, kind.message_class):
            actual = next(other for other in HandlerKind if issubclass(alternative, other.message_class))
            raise TopologyError(
                f"{described} is {an(kind.value)} handler, but {alternative.__qualname__} is {an(actual.value)}: "
                f"declare it with {actual.value}_handler, or take {an(kind.message_class.__name__)}"
            )


def _returns(described: Described) -> object:
    """The resolved return annotation, or None if there is none."""
    annotation = inspect.signature(described.function).return_annotation
    if annotation is Parameter.empty:
        return None
    try:
        return resolve(annotation, described.written)
    except UnresolvedError as error:
        raise unresolved(described, "the answer", annotation, error) from error
