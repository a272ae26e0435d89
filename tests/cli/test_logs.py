import json
import logging
import sys
from collections.abc import Iterator

import pytest
from rich.logging import RichHandler

from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.settings import load_settings


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("cqrsbus")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_text_is_free_of_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(load_settings(), default="info")
    logging.getLogger("cqrsbus.some").info("a\x1b[31m\tb")
    line = capsys.readouterr().err
    assert line.endswith(" INFO cqrsbus.some: a\\u001b[31m\tb\n")


def test_json_is_one_object_per_line_with_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(load_settings(log_format="json"), default="info")
    try:
        raise LookupError("two\nlines")
    except LookupError:
        logging.getLogger("cqrsbus.some").exception("failed %d", 1)
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("error", "failed 1")
    assert record["exception"].endswith("LookupError: two\nlines")


def test_the_level_is_ours_alone_unless_we_run_an_application(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(load_settings(log_level="debug"), default="info")
    logging.getLogger("cqrsbus").debug("ours")
    logging.getLogger("theirs").info("theirs")
    assert "theirs" not in (err := capsys.readouterr().err)
    assert "ours" in err
    set_up_logging(load_settings(), default="info", application=True)
    logging.getLogger("theirs").info("theirs")
    assert "theirs" in capsys.readouterr().err


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    set_up_logging(load_settings(), default="info")
    handler = logging.getLogger().handlers[-1]
    assert isinstance(handler, RichHandler)
    assert handler.format(logging.makeLogRecord({"msg": "a\x1b[31m"})) == "a\\u001b[31m"
