"""Commands, queries and events: pydantic models that know their topic.

- A ``Command`` asks the one service that owns its topic to do something.
- A ``Query[R]`` asks for an answer of the type ``R`` and changes nothing.
- An ``Event`` tells everyone who listens that something happened.

The class keyword ``topic=`` names where a message goes. A subclass that gives none has its parent's. It is
checked when the class is made and kept outside the fields, so a message may have a field called ``topic``.

The class keyword ``raises=`` of a command or a query names the exceptions that its caller gets as they are. A subclass
has those of its parents, and its own.

The bases add nothing else: fields, validation and class keywords (``frozen=True``, ``extra="forbid"``) are
pydantic's own. They are not frozen, because a frozen base would bind every subclass to be so. Their one
setting is that JSON carries ``bytes`` as base64, so that any bytes survive it, not only UTF-8.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import Unpack

from cqrsbus.errors import InvalidTopicError
from cqrsbus.raises import Raises, declared_raises
from cqrsbus.topics import validate_topic

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

R_co = TypeVar("R_co", covariant=True)


# A class that names its metaclass is, to type checkers, neither frozen nor not: subclasses may be either.
class _Message(BaseModel, metaclass=ModelMetaclass):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    __cqrs_topic__: ClassVar[str | None] = None

    def __init_subclass__(cls, *, topic: str | None = None, **kwargs: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**kwargs)
        if topic is None:
            return
        try:
            cls.__cqrs_topic__ = validate_topic(topic)
        except InvalidTopicError as error:
            raise InvalidTopicError(f"class {cls.__qualname__}: {error.reason}") from None


class _Request(_Message, metaclass=ModelMetaclass):
    """A message whose caller is told how it ended."""

    __cqrs_raises__: ClassVar[Raises] = ()

    def __init_subclass__(
        cls, *, topic: str | None = None, raises: Sequence[type[Exception]] = (), **kwargs: Unpack[ConfigDict]
    ) -> None:
        super().__init_subclass__(topic=topic, **kwargs)
        inherited = [base.__cqrs_raises__ for base in cls.__bases__ if issubclass(base, _Request)]
        cls.__cqrs_raises__ = declared_raises(f"class {cls.__qualname__}", *inherited, raises)


class Command(_Request, metaclass=ModelMetaclass):
    """A request to change something: ``class NewEmail(Command, topic="event.email.new")``.

    The class keyword ``raises=[MailboxLocked]`` names the exceptions that its caller gets as they are.
    """


class Query(_Request, Generic[R_co], metaclass=ModelMetaclass):
    """A question with an answer of the type R: ``class Find(Query[Found], topic="email.find")``.

    The class keyword ``raises=[MailboxLocked]`` names the exceptions that its caller gets as they are.
    """


class Event(_Message, metaclass=ModelMetaclass):
    """Something that happened: ``class Stored(Event, topic="event.email.stored")``."""


def raises_of(cls: type) -> Raises:
    """Return the exceptions that a class of messages was declared with, its parents' included.

    Args:
        cls: Any class; one that is no command and no query has none.
    """
    # Asking for the attribute costs a fraction of what asking pydantic's metaclass for the parents does.
    raises: Raises = getattr(cls, "__cqrs_raises__", ())
    return raises


def answer_type(query: type) -> Any:
    """Return the type that answers a class of queries, as it was written in ``Query[...]``.

    Args:
        query: A subclass of Query; any other class has no answer.

    Returns:
        The annotation; ``type(None)`` for ``Query[None]``; None if it was never said, or is still a type variable.
    """
    if not issubclass(query, BaseModel):
        return None
    answer = _declared_answer(query)
    return None if answer is None or _open_parameters(answer) else answer


def _declared_answer(cls: type[BaseModel]) -> Any:
    metadata = cls.__pydantic_generic_metadata__
    origin = metadata["origin"]
    if origin is Query:
        return _said(metadata["args"][0])
    if origin is not None:
        known = dict(zip(_open_parameters(origin), metadata["args"], strict=True))
        return _fill_in(_declared_answer(origin), known)
    answers = [_declared_answer(base) for base in cls.__bases__ if issubclass(base, _Message)]
    return next((answer for answer in answers if answer is not None), None)


def _open_parameters(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, TypeVar):
        return (annotation,)
    metadata: Any = getattr(annotation, "__pydantic_generic_metadata__", None)
    return metadata["parameters"] if metadata else getattr(annotation, "__parameters__", ())


def _fill_in(annotation: Any, known: dict[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return _said(known.get(annotation, annotation))
    parameters = _open_parameters(annotation)
    return annotation[tuple(known.get(each, each) for each in parameters)] if parameters else annotation


def _said(answer: Any) -> Any:
    return type(None) if answer is None else answer
