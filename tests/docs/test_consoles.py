"""What the pages show of terminals is what a reader sees."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import typer.main

from cqrsbus.cli.app import app
from tests.docs.blocks import ALL_BLOCKS, GUIDE, PAGES, ROOT, blocks
from tests.docs.terminal import SERVING, Terminals, commands

#: Pages that are carried out from top to bottom, and whether a broker runs before the first command.
SESSIONS = {
    "README.md": False,
    "docs/tutorial.md": False,
    "docs/operations.md": False,
    "docs/howto/check-contracts.md": False,
    "docs/howto/command-line.md": True,
}

#: What is not carried out here: it needs the network, is what runs these tests, or is open to other machines.
ONLY_LOOKED_AT = re.compile(r"pip install |make |cqrsbus broker --listen tcp://0\.0\.0\.0:")


def shown_commands() -> list[tuple[str, str]]:
    found = [
        (str(block), command) for block in ALL_BLOCKS if block.language == "console" for command, _ in commands(block)
    ]
    units = [block for block in ALL_BLOCKS if block.language == "ini"]
    found += [
        (str(block), line.rpartition("/bin/")[2])
        for block in units
        for line in block.text.splitlines()
        if line.startswith("ExecStart=")
    ]
    return found


@pytest.mark.parametrize("page", SESSIONS)
def test_a_page_can_be_followed(page: str, tmp_path: Path) -> None:
    shutil.copytree(GUIDE / "notes", tmp_path / "notes", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("service.py", "client.py"):
        shutil.copy(ROOT / "examples" / "two_processes" / name, tmp_path)
    with Terminals(tmp_path) as terminals:
        if SESSIONS[page]:
            terminals.run("cqrsbus broker", ["listening on tcp://127.0.0.1:9100"])
        for block in blocks(ROOT / page):
            if block.language == "console":
                for command, shown in commands(block):
                    if not ONLY_LOOKED_AT.match(command):
                        terminals.run(command, shown)
            elif block.language == "text" and block.included is None:
                terminals.expect(block.text.splitlines())


def test_pages_with_commands_are_sessions() -> None:
    with_commands = {
        page.relative_to(ROOT).as_posix()
        for page in PAGES
        for block in blocks(page)
        if block.language == "console"
        for command, _ in commands(block)
        if not ONLY_LOOKED_AT.match(command)
    }
    assert with_commands == set(SESSIONS)


def test_text_is_included_or_part_of_a_session() -> None:
    loose = [block for block in ALL_BLOCKS if block.language == "text" and block.included is None]
    assert {block.page for block in loose} <= set(SESSIONS)


@pytest.mark.parametrize(("place", "command"), shown_commands())
def test_commands_are_spelled_right(place: str, command: str) -> None:
    for part in re.split(r" \| | && ", command):
        name, *arguments = shlex.split(part)
        if name == "cqrsbus":
            group = typer.main.get_group(app)
            with group.make_context(name, list(arguments)) as context:
                _, called, rest = group.resolve_command(context, arguments)
                assert called is not None
                called.make_context(arguments[0], rest, parent=context).close()
        elif name == "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        elif name == "pip":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            assert set(re.findall(r"\[(\w+)\]", arguments[-1])) <= set(extras)
        else:
            assert name in {"python", "echo"}


def test_what_serves_is_told_from_what_ends() -> None:
    assert SERVING.match("cqrsbus broker")
    assert SERVING.match("python -m notes.service")
    assert not SERVING.match("cqrsbus ask note.find '{}'")
    assert not SERVING.match("python -m notes.client")
