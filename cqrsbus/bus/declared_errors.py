"""Errors that cross the wire as what they are: taken apart where they are raised, made again at the caller.

The rules:

1. Both sides declare the class. The handler's says which errors are sent with their fields, the caller's which are
   made again; a name from the wire is looked up among the declared ones, and nowhere else.
2. An instance of a subclass travels as the nearest class that is declared.
3. What cannot be sent, or made again, is a RemoteError, never another error; the log says why.
4. What was made again is raised from the RemoteError, which has the remote side's facts.
"""

import logging

from cqrsbus.bus.annotations import alternatives
from cqrsbus.bus.codec import Codec, codec_for
from cqrsbus.bus.error_fields import ErrorFields, FieldsError, error_fields
from cqrsbus.errors import InvalidMessageError, RemoteError
from cqrsbus.messages import raises_of
from cqrsbus.raises import Raises, declared_raises

log = logging.getLogger(__name__)


class DeclaredErrors:
    """The classes of errors that one handler sends, or one caller expects.

    Args:
        raises: The classes, no two of one name.
        where: What they were declared for, for the text of the error.

    Raises:
        TypeError: The fields of one cannot be known.
    """

    def __init__(self, raises: Raises, where: str) -> None:
        self._classes: dict[type, ErrorFields] = {}
        for cls in raises:
            try:
                # A class is hashable, whatever its instances are.
                self._classes[cls] = error_fields(cls)  # type: ignore[arg-type]
            except FieldsError as error:
                raise TypeError(f"{where} cannot declare that it raises {cls.__qualname__}: {error}") from error
        self._names = {cls.__name__: fields for cls, fields in self._classes.items()}

    def declared_class(self, error: Exception) -> type | None:
        """The nearest class of an error that is declared; None if none is."""
        return next((cls for cls in type(error).__mro__ if cls in self._classes), None)

    def encode(self, error: Exception, cls: type, codec: Codec) -> bytes:
        """Write the fields of an error as a body; empty, and logged, if they cannot be written.

        Args:
            error: What was raised.
            cls: Its declared class.
            codec: What the body is written with.
        """
        try:
            return codec.encode(self._classes[cls].take(error))
        except (FieldsError, InvalidMessageError) as why:
            log.warning("the caller gets a RemoteError, for %s cannot be sent: %s", cls.__qualname__, why)
            return b""

    def rebuild(self, error: RemoteError) -> Exception:
        """Return the declared error that a RemoteError tells of, with that as its cause; or itself."""
        fields = self._names.get(error.type)
        if fields is None or not error.body:
            return error
        try:
            made = fields.make(codec_for(error.content_type).decode(error.body, fields.type))
        except (FieldsError, InvalidMessageError) as why:
            log.warning("%s is raised as it is, for it cannot be made a %s: %s", error, error.type, why)
            return error
        # As `raise ... from` does it: a frozen dataclass would refuse an assignment.
        BaseException.__setattr__(made, "__cause__", error)
        return made


def handler_raises(where: str, message: object, raises: object) -> Raises:
    """Return the errors that a handler declares: those of its message's class, or classes, and its own.

    Args:
        where: The handler, for the text of the error.
        message: The annotation of its message.
        raises: What its decorator was given.

    Raises:
        TypeError: They cannot be declared.
    """
    classes = [each for each in alternatives(message) if isinstance(each, type)]
    declared = declared_raises(where, *map(raises_of, classes), raises)
    DeclaredErrors(declared, where)
    return declared
