"""Public names whose modules are imported when one of them is first used (PEP 562)."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package.

    What it has found it puts into the package, so that it is asked once for each name. Threads may ask at the same
    time: each module is imported once, and they all put the same there.

    Args:
        package: Its name.
        homes: In which module each of its public names is.
    """

    def find(name: str) -> object:
        module = sys.modules[package]
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        found: object = getattr(import_module(home), name)
        setattr(module, name, found)
        return found

    return find
