import json
from pathlib import Path

import pytest

from tests.cli.terminal import RunCommand

MAIL = """
from cqrsbus import Bus, Command, Event, Query

class Store(Command, topic="mail.store"):
    subject: str
    size: int

class Find(Query[list[str]], topic="mail.find"):
    word: str

class Stored(Event, topic="mail.stored"):
    number: int

bus = Bus("mail", version="2.0", requires=[Stored])

@bus.command_handler()
async def store(command: Store) -> None: ...

@bus.query_handler()
async def find(query: Find) -> list[str]: ...
"""

WEB = """
from cqrsbus import Bus, Command, Event, Query

class Store(Command, topic="mail.store"):
    subject: str

class Find(Query[list[int]], topic="mail.find"):
    word: str

class Count(Query[int], topic="mail.count"):
    word: str

bus = Bus("web", requires=[Store, Find, Count])

@bus.event_handler("mail.*")
async def hear(event: dict[str, str]) -> None: ...
"""


@pytest.fixture(autouse=True)
def services(tmp_path: Path) -> None:
    (tmp_path / "mail.py").write_text(MAIL)
    (tmp_path / "web.py").write_text(WEB)


def test_what_does_not_fit_is_told_with_file_and_line(call: RunCommand) -> None:
    code, out, err = call("check", "web:bus", "mail:bus")
    assert (code, err) == (1, "4 findings")
    assert out.splitlines() == [
        "mail.store: schema break: size is required, and not written",
        "    web: web.Store (web.py:4)",
        "    mail 2.0: mail.store (mail.py:17)",
        "mail.find: schema break: in the answer, [] is written as string, and read as integer",
        "    web: web.Find (web.py:7)",
        "    mail 2.0: mail.find (mail.py:20)",
        "mail.count: missing handler: no service handles this query",
        "    web: web.Count (web.py:10)",
        "mail.stored: schema break: number is written as integer, and read as string",
        "    mail 2.0: mail.Stored (mail.py:11)",
        "    web: web.hear (web.py:16)",
    ]


def test_the_same_as_json(call: RunCommand) -> None:
    code, out, err = call("check", "web:bus", "mail:bus", "--json")
    assert (code, err) == (1, "")
    assert [json.loads(line) for line in out.splitlines()][2] == {
        "problem": "missing handler",
        "topic": "mail.count",
        "reason": "no service handles this query",
        "places": ["web: web.Count (web.py:10)"],
    }


def test_a_second_owner_is_told(tmp_path: Path, call: RunCommand) -> None:
    (tmp_path / "rival.py").write_text(MAIL.replace('"mail", version="2.0"', '"rival"'))
    code, out, _ = call("check", "mail:bus", "rival:bus")
    assert code == 1
    assert "mail.store: second owner: it belongs to 'mail', and 'rival' handles it too" in out
    assert "mail.find" not in out


def test_what_fits_is_0(call: RunCommand) -> None:
    assert call("check", "mail:bus", "mail:bus") == (0, "", "all fits together")
    assert call("check", "mail:bus", "--json") == (0, "", "")


@pytest.mark.parametrize("targets", [(), ("mail:nothing",), ("nowhere:bus",), ("mail",)])
def test_wrong_use_is_2(targets: tuple[str, ...], call: RunCommand) -> None:
    code, out, err = call("check", *targets)
    assert (code, out) == (2, "")
    assert err


def test_a_type_that_cannot_be_carried_is_told(tmp_path: Path, call: RunCommand) -> None:
    source = "from datetime import date\nfrom cqrsbus import Bus\nbus = Bus('odd')\n"
    source += "@bus.command_handler('odd')\nasync def odd(message: date | str) -> None: ...\n"
    (tmp_path / "odd.py").write_text(source)
    code, out, err = call("check", "odd:bus")
    assert (code, out) == (1, "")
    assert "cannot be a message" in err
