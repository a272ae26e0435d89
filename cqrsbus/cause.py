"""Errors with a cause, in what may be compiled: mypyc leaves out, without a word, what ``raise ... from`` says."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def caused_by(error: E, cause: BaseException | None) -> E:
    """Return an error that is to be raised as by ``raise error from cause``.

    Args:
        error: The error.
        cause: What it came from; None for what is nobody's business, as it may hold what a message said.
    """
    error.__cause__ = cause
    return error
