"""What ``cqrsbus`` exports is what it says it exports, and nothing is exported by accident."""

import ast
import pickle
import pkgutil
import pydoc
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import TypeGuard

import pytest

import cqrsbus
from cqrsbus import errors, testing

REFERENCE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()


def run(program: str) -> str:
    """What a program prints, in an interpreter that has imported nothing yet."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout


def test_what_is_exported_is_what_is_named() -> None:
    for name in cqrsbus.__all__:
        getattr(cqrsbus, name)
    public = {
        name
        for name, value in vars(cqrsbus).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(cqrsbus.__all__)
    assert list(cqrsbus.__all__) == sorted(cqrsbus.__all__)


def test_what_is_exported_is_in_the_reference() -> None:
    listed = set(re.findall(r"^::: (cqrsbus\.\S+)$", REFERENCE, flags=re.MULTILINE))
    apart = {"__version__", *(name for name in cqrsbus.__all__ if hasattr(errors, name))}
    assert {f"cqrsbus.{name}" for name in set(cqrsbus.__all__) - apart} <= listed
    assert {f"cqrsbus.testing.{name}" for name in testing.__all__} <= listed
    assert "cqrsbus.errors" in listed


def test_the_library_is_quiet_until_logging_is_configured() -> None:
    program = "import cqrsbus, logging; logging.getLogger('cqrsbus.links').warning('heard')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


EXTRAS = ("typer", "rich", "trio", "uvloop", "nats", "pytest")


def imported_along(statement: str, *others: str) -> list[str]:
    """Which of these modules are imported by a statement."""
    return run(f"import sys\n{statement}\nprint(*[name for name in {others!r} if name in sys.modules])").split()


def test_importing_the_library_needs_no_extra() -> None:
    """Neither the command line's dependencies, nor a particular event loop, nor what is for tests is imported along."""
    assert imported_along("from cqrsbus import *", *EXTRAS, "cqrsbus.testing") == []


def test_a_bus_that_only_calls_needs_no_broker_and_nothing_that_handles() -> None:
    others = (
        "cli",
        "contracts",
        "testing",
        "broker",
        "routing.router",
        "bus.dispatch",
        "bus.signature",
        "bus.blocking",
    )
    modules = [f"cqrsbus.{other}" for other in others]
    assert imported_along("from cqrsbus import Bus, Command, Event, Query; Bus('web')", *modules) == []


ENTERED = """
import sys, anyio
from cqrsbus import Bus, Query

class Find(Query[int], topic="find"): ...

bus = Bus("web", "memory:", requires=[Find])

@bus.query_handler()
async def find(query: Find) -> int: return 1

async def main():
    before = {*sys.modules}
    async with bus:
        await bus.ask(Find())
    print(*(name for name in {*sys.modules} - before if name.startswith("cqrsbus")))

anyio.run(main)
"""


def test_nothing_of_ours_is_imported_while_the_event_loop_waits() -> None:
    assert run(ENTERED) == "\n"


def test_a_broker_elsewhere_is_no_reason_to_import_one() -> None:
    link = "from cqrsbus.bus.embedded import make_link; make_link({!r}, 'web', 'web-1')"
    assert imported_along(link.format("tcp://127.0.0.1:9100"), "cqrsbus.broker", "cqrsbus.routing.router") == []
    assert imported_along(link.format("memory:"), "cqrsbus.broker") == ["cqrsbus.broker"]


def test_the_testing_kit_needs_no_extra() -> None:
    """It serves any test runner."""
    assert imported_along("import cqrsbus.testing", *EXTRAS) == []


def test_what_the_testing_kit_exports_is_what_is_named() -> None:
    assert sorted(testing.__all__) == list(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)


def names_for_type_checkers() -> dict[str, str]:
    """What ``cqrsbus`` imports for type checkers alone, and from where."""
    (block,) = (node for node in ast.parse(Path(cqrsbus.__file__).read_text()).body if is_for_type_checkers(node))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    return {name.asname or name.name: node.module or "" for node in imports for name in node.names}


def is_for_type_checkers(node: ast.stmt) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "typing.TYPE_CHECKING"


def test_type_checkers_and_the_interpreter_find_each_name_in_the_same_module() -> None:
    assert names_for_type_checkers() == cqrsbus._HOMES


def test_no_module_of_ours_uses_the_names_that_are_for_others() -> None:
    """It would be imported while the package looks for one of them."""
    for path in Path(cqrsbus.__path__[0]).rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        used = {name.name for node in nodes if node.module == "cqrsbus" for name in node.names}
        assert not used & cqrsbus._HOMES.keys(), path


def test_no_name_is_that_of_a_module() -> None:
    """Importing ``cqrsbus.x`` puts the module into the package as ``x``, whatever was there."""
    assert not {module.name for module in pkgutil.iter_modules(cqrsbus.__path__)} & set(cqrsbus.__all__)


def test_importing_the_package_imports_none_of_its_dependencies() -> None:
    assert imported_along("import cqrsbus", "pydantic", "pydantic_core", "anyio", "msgpack", "asyncio") == []


@pytest.mark.parametrize("module", sorted(set(cqrsbus._HOMES.values())))
def test_whichever_name_is_used_first_is_found_and_kept(module: str) -> None:
    name = next(name for name, home in cqrsbus._HOMES.items() if home == module)
    program = f"import cqrsbus; first = cqrsbus.{name}; print(vars(cqrsbus)[{name!r}] is first)"
    assert run(program) == "True\n"


def test_a_star_imports_every_name() -> None:
    assert run("from cqrsbus import *; import cqrsbus; print({*cqrsbus.__all__} <= {*vars()})") == "True\n"


def test_an_unknown_name_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match=r"^module 'cqrsbus' has no attribute 'Unheard'$") as refused:
        _ = cqrsbus.Unheard  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert (refused.value.name, refused.value.obj) == ("Unheard", cqrsbus)
    with pytest.raises(ImportError, match=r"^cannot import name 'Unheard' from 'cqrsbus' "):
        exec("from cqrsbus import Unheard")
    assert not hasattr(cqrsbus, "Unheard")


def test_a_misspelt_name_is_told_with_the_right_one() -> None:
    command = [sys.executable, "-c", "import cqrsbus; cqrsbus.SyncBuss"]
    failed = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert failed.stderr.endswith("module 'cqrsbus' has no attribute 'SyncBuss'. Did you mean: 'SyncBus'?\n")


def test_every_name_is_listed_before_it_was_used() -> None:
    assert run("import cqrsbus; print(*[name for name in cqrsbus.__all__ if name not in dir(cqrsbus)])") == "\n"


def test_help_tells_of_every_name() -> None:
    text = pydoc.plain(pydoc.render_doc(cqrsbus))
    assert {name for name in cqrsbus.__all__ if name not in text} == {"__version__"}  # it has a heading of its own


def test_a_class_is_pickled_by_where_it_is() -> None:
    instance = cqrsbus.Instance("mail", "1")
    classes = [value for name in cqrsbus.__all__ if isinstance(value := getattr(cqrsbus, name), type)]
    assert pickle.loads(pickle.dumps((instance, classes))) == (instance, classes)
    pickled = pickle.dumps(instance)
    assert run(f"import pickle; print(pickle.loads({pickled!r}))") == f"{instance}\n"


RACE = """
import sys, threading
import cqrsbus

sys.setswitchinterval(1e-6)
names = sorted(cqrsbus._HOMES)
start, found = threading.Barrier(len(names)), [[] for _ in names]

def use(at):
    start.wait()
    found[at] = [getattr(cqrsbus, name) for name in names[at:] + names[:at]]

threads = [threading.Thread(target=use, args=(at,)) for at in range(len(names))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(all(set(map(id, each)) == {id(getattr(cqrsbus, name)) for name in names} for each in found))
"""


def test_threads_that_use_the_names_for_the_first_time_at_once_get_the_same() -> None:
    assert run(RACE) == "True\n"
