"""Public names whose modules are imported when one of them is first used (PEP 562)."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from threading import RLock
from typing import Final

# The interpreter locks each module by itself. Of two threads that import a package and a module of it, in opposite
# order, it fails one ("deadlock detected by _ModuleLock"), and the order in all that we depend on is not ours.
_IMPORTING: Final = RLock()


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package.

    What it has found it puts into the package, so that it is asked once for each name. Threads may ask at the same
    time: one of them imports, and they all get the same.

    Args:
        package: Its name.
        homes: In which module each of its public names is.
    """

    def find(name: str) -> object:
        module = sys.modules[package]
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        with _IMPORTING:
            found: object = getattr(import_module(home), name)
        setattr(module, name, found)
        return found

    return find
