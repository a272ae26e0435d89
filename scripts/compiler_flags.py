"""How the C of the compiled build is compiled, told to the hook that does it; see hooks in pyproject.toml.

Python calls one function of the library, which hands it the others. So none need be seen from outside, and what can not
be replaced from outside is called directly, or not at all but inlined: by default every call within the library looks
up its target, as if another library might have one of the same name.
"""

import os
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = "-fvisibility=hidden"


class CompilerFlags(BuildHookInterface[Any]):
    """Adds to the flags that setuptools takes from the environment; the compiler of Windows does so by itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them, before the hook that compiles runs."""
        # Where the variable is set, setuptools may take it instead of Python's own flags.
        usual = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS")
        if usual:
            os.environ["CFLAGS"] = f"{usual} {FLAGS}"
