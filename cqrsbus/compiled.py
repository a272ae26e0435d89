"""Which build runs: the layers without I/O may have been compiled, from the same sources."""


def is_compiled() -> bool:
    """Tell whether the compiled layers run: a build compiles all of them, this module among them, or none."""
    return not __file__.endswith(".py")


def build_name() -> str:
    """What to call the build that runs, in a bug report or beside a figure."""
    return "compiled" if is_compiled() else "pure Python"
