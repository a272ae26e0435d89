"""No page says what no test has looked at: blocks, tables and names."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import cqrsbus
from cqrsbus import BrokerLimits, Code, RoutingLimits, errors
from cqrsbus.cli.settings import Values, load_settings
from cqrsbus.routing.counters import Counters
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Frame, Kind
from tests.docs.blocks import ALL_BLOCKS, GUIDE, PAGES, ROOT, Block

#: Files that README shows in full, since neither GitHub nor PyPI can include them.
SHOWN = [ROOT / "examples" / "two_processes" / name for name in ("service.py", "client.py")]
#: Examples that are shown in part; they have tests of their own.
ORDERS = ROOT / "examples" / "orders"


#: Every program that a page may show.
PROGRAMS = sorted({path for block in ALL_BLOCKS if (path := block.included) and path.suffix == ".py"})


def of(*languages: str) -> list[Block]:
    return [block for block in ALL_BLOCKS if block.language in languages]


def each(blocks: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks, ids=str)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def first_column(text: str) -> set[str]:
    """What stands in code in the first column of a page's tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


@each(ALL_BLOCKS)
def test_every_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    # console: by test_consoles.py; ini: by the commands in it, there too.
    assert block.language in {"python", "text", "console", "toml", "ini"}


@each(of("python"))
def test_python_is_shown_from_a_file_that_is_run(block: Block) -> None:
    if block.page == "README.md":
        assert block.text in [shown.read_text("utf-8") for shown in SHOWN]
        return
    included = block.included
    assert included is not None, "include a file of examples/guide"
    assert included.is_relative_to(GUIDE) or included.is_relative_to(ORDERS)
    assert included.is_file()


def test_every_program_of_the_guide_is_shown() -> None:
    shown = {block.included for block in ALL_BLOCKS}
    kept = {path for path in GUIDE.rglob("*") if path.suffix in {".py", ".txt"} and path.stat().st_size}
    assert kept <= shown


def test_the_readme_shows_its_two_programs() -> None:
    shown = [block.text for block in of("python") if block.page == "README.md"]
    assert shown == [path.read_text("utf-8") for path in SHOWN]


@each(of("toml"))
def test_settings_files_are_accepted(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "cqrsbus.toml"
    file.write_text(block.text, "utf-8")
    settings = load_settings(file)
    assert settings.model_dump() != Values().model_dump()


def test_every_error_is_explained() -> None:
    explained = first_column(page("errors.md"))
    classes = {name for name in cqrsbus.__all__ if name.endswith("Error")}
    assert explained == classes | {code.name for code in Code}


def test_every_code_has_its_number() -> None:
    numbers = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", page("errors.md"), re.MULTILINE))
    assert numbers == {code.name: str(code.value) for code in Code}


def test_codes_name_the_class_they_are_raised_as() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| \d+ \| `(\w+Error)`", page("errors.md"), re.MULTILINE)
    assert rows
    for name, raised in rows:
        error = error_in(Frame(Kind.REJECT, detail=Code[name]))
        assert isinstance(error, getattr(errors, raised)) or Code[name] >= 400
        if Code[name] >= 400:
            assert getattr(errors, raised).code is Code[name]


@pytest.mark.parametrize("limits", [BrokerLimits(), RoutingLimits()], ids=lambda limits: type(limits).__name__)
def test_every_limit_has_its_default(limits: BrokerLimits | RoutingLimits) -> None:
    said = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page("operations.md"), re.MULTILINE))
    numbers = {each.name: getattr(limits, each.name) for each in fields(limits) if each.name != "routing"}
    assert {name: float(said.get(name, "nan")) for name in numbers} == numbers


def test_the_limits_of_a_broker_are_settings() -> None:
    assert {field.name for field in fields(BrokerLimits)} - {"routing"} <= set(Values.model_fields)


def test_every_counter_is_explained() -> None:
    assert {field.name for field in fields(Counters)} <= first_column(page("operations.md"))


def test_log_lines_are_those_of_the_source() -> None:
    section = page("operations.md").partition("## What the log lines say")[2].partition("\n## ")[0]
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "cqrsbus").rglob("*.py"))
    lines = re.findall(r"^\| (?:info|warning|error) \| `([^`]+)`", section, re.MULTILINE)
    assert lines
    missing = [line for line in lines if line not in source and not hasattr(Code, line.rstrip(":"))]
    assert not missing


def test_every_public_name_is_in_the_reference() -> None:
    reference = page("reference.md")
    documented = set(re.findall(r"cqrsbus\.(\w+)", reference)) | {
        name for name in cqrsbus.__all__ if hasattr(errors, name) and "::: cqrsbus.errors" in reference
    }
    assert set(cqrsbus.__all__) <= documented


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_programs_fit_on_the_page(program: Path) -> None:
    assert [line for line in program.read_text("utf-8").splitlines() if len(line) > 84] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_of_files_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", file.read_text("utf-8")):
        assert (file.parent / target).exists(), target
