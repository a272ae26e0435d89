"""The console script.

What the commands need comes with the extra ``cli``, so it is imported here and not on top: without it there is one
clear line instead of a traceback. For the same reason nothing of it is needed to tell the version.
"""

import sys

from cqrsbus.cli.about import about

#: What the extra installs, by the names it is imported by.
_EXTRA = frozenset({"typer", "rich", "pydantic_settings", "watchfiles"})
_INTERRUPTED = 130
_FAILED = 1


def main() -> None:
    """Run the command line; ends the process."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{about()}\n")
        return
    try:
        from cqrsbus.cli.app import run_app

        run_app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(f"error: the command line needs {error.name}: pip install 'cqrsbus[cli]'\n")
        sys.exit(_FAILED)
