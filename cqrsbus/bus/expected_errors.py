"""The errors that a caller expects: those of its message's class, and its own."""

from functools import lru_cache
from typing import Any, Final

from cqrsbus.bus.declared_errors import DeclaredErrors
from cqrsbus.errors import RemoteError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.messages import raises_of
from cqrsbus.raises import declared_raises

NO_ERRORS: Final = DeclaredErrors((), "")


def errors_of_call(verb: str, message: object, raises: object) -> DeclaredErrors:
    """The errors that a call expects.

    Args:
        verb: The call's name.
        message: What is said.
        raises: What the call was given.

    Raises:
        TypeError: They cannot be declared.
    """
    # Every class can be looked up by; one type checker takes its instances for what is asked here.
    cls: Any = type(message)
    if raises == ():
        return _of_class(verb, cls)
    declared = declared_raises(f"bus.{verb}()", raises_of(cls), raises)
    return _of_call(declared, f"bus.{verb}()") if declared else NO_ERRORS


@lru_cache(maxsize=1024)
def _of_class(verb: str, cls: type) -> DeclaredErrors:
    declared = raises_of(cls)
    return _of_call(declared, f"bus.{verb}()") if declared else NO_ERRORS


_of_call = lru_cache(maxsize=1024)(DeclaredErrors)


def error_of_call(error: RemoteError, outgoing: Outgoing, expected: DeclaredErrors) -> Exception:
    """Return what a caller is to raise: the declared error, or the RemoteError.

    Args:
        error: What the link raised.
        outgoing: The message that was sent.
        expected: What the caller expects.
    """
    envelope = outgoing.envelope
    error.correlation_id = envelope.correlation_id or envelope.message_id
    return expected.rebuild(error)
