"""Can this Python's extension modules be compiled here? If not, it says what is missing, and ends with 1."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

# Where setuptools looks.
compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
if shutil.which(compiler) is None:
    sys.exit(f"there is no C compiler here: {compiler} is not found")
if not Path(sysconfig.get_path("include"), "Python.h").exists():
    sys.exit("the headers of Python are not here: Debian and Ubuntu have them in the package python3-dev")
