"""What a bug report has to say of the package."""

from cqrsbus.compiled import build_name
from cqrsbus.version import __version__


def about() -> str:
    """The version, and which build of it runs."""
    return f"cqrsbus {__version__} ({build_name()})"
