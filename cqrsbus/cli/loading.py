"""Finding the bus that ``module:bus`` names."""

import importlib
import os
import sys
import traceback
from functools import reduce
from types import ModuleType

from cqrsbus.bus.bus import Bus
from cqrsbus.cli.failures import CommandError, UsageError


def load_bus(target: str) -> Bus:
    """Import a module, from the current directory too, and return its bus.

    Args:
        target: ``package.module:bus``; what follows the colon may have dots.

    Raises:
        UsageError: There is no such module or bus; the text says what there is.
        CommandError: The module fails when it is imported; its traceback is on stderr.
    """
    name, colon, path = target.partition(":")
    if not (name and path) and colon:
        raise UsageError(f"{target!r} is not of the form module:bus")
    module = _import(name)
    if not path:
        raise UsageError(f"which bus of {name}? {_candidates(module)}")
    try:
        found: object = reduce(getattr, path.split("."), module)
    except AttributeError:
        raise UsageError(f"the module {name} has no {path!r}; {_candidates(module)}") from None
    if not isinstance(found, Bus):
        raise UsageError(f"{target} is not a Bus but {_a(type(found).__name__)}; {_candidates(module)}")
    return found


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"there is no module {error.name!r}, neither installed nor in {here}") from None
        raise CommandError(f"{name} cannot be imported: {error}") from None
    except Exception as error:  # noqa: BLE001  # whatever the application's code raises
        traceback.print_exception(error)
        raise CommandError(f"{name} cannot be imported: {type(error).__name__}: {error}") from None


def _candidates(module: ModuleType) -> str:
    found = [f"{module.__name__}:{name}" for name, value in vars(module).items() if isinstance(value, Bus)]
    return f"there is {', '.join(found)}" if found else "there is no Bus in that module"


def _a(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
