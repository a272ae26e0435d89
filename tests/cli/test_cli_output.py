import io
import json
import sys

import pytest

from cqrsbus.bus.context import Context
from cqrsbus.cli.output import print_event, print_value, to_json, visible


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, None, True, "中文"]}, '{"a":[1,null,true,"中文"]}'),
        (b"\x00\xff", '"AP8="'),
        ({1: "int", b"\xff": "bytes", None: "none"}, '{"1":"int","/w==":"bytes","null":"none"}'),
        ([float("nan"), float("inf"), -0.5], '["nan","inf",-0.5]'),
        (2**80, "1208925819614629174706176"),
        ((1, (2,)), "[1,[2]]"),
    ],
)
def test_any_plain_value_becomes_json(value: object, written: str) -> None:
    assert to_json(value) == written


def test_what_a_terminal_would_obey_is_escaped_and_still_the_same_json() -> None:
    text = "a\x1b[31m\x9b2J\x7f\u202eevil\u2028"
    written = to_json({"text": text})
    assert not set(written) & set("\x1b\x9b\x7f\u202e\u2028")
    assert json.loads(written) == {"text": text}


def test_stdout_that_cannot_show_everything_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert to_json("é中🙂") == json.dumps("é中🙂")


def test_a_message_becomes_one_line() -> None:
    assert visible("first\n  second\r\x1b[1m\n") == "first second\\u000d\\u001b[1m"


def test_piped_values_are_indented_or_compact(capsys: pytest.CaptureFixture[str]) -> None:
    print_value({"a": 1}, compact=False)
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'
    print_value({"a": 1}, compact=True)
    assert capsys.readouterr().out == '{"a":1}\n'


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_values_and_events_on_a_terminal_hold_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", terminal := _Terminal())
    print_value({"[bold]": 1}, compact=False)
    assert json.loads(terminal.getvalue()) == {"[bold]": 1}
    print_event("[red]", Context(message_id="1", topic="a.b", sender="me"), as_json=False)
    assert terminal.getvalue().splitlines()[-1].endswith(' a.b me "[red]"')


def test_an_event_as_json_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(message_id="m", topic="a.b", sender="me", correlation_id="c", headers={"k": "v"})
    print_event([1], context, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "topic": "a.b",
        "sender": "me",
        "message_id": "m",
        "correlation_id": "c",
        "headers": {"k": "v"},
        "message": [1],
    }
