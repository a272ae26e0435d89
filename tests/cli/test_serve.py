import json
import signal
from pathlib import Path

import pytest

from tests.cli.terminal import RunCommand, Serve, StartBroker, StartCommand


@pytest.mark.parametrize(
    ("backend", "number"),
    [("asyncio", signal.SIGINT), ("asyncio", signal.SIGTERM), ("uvloop", signal.SIGTERM), ("trio", signal.SIGINT)],
)
def test_serves_until_a_signal(backend: str, number: signal.Signals, broker: StartBroker, serve: Serve) -> None:
    _, url = broker()
    terminal = serve(url, "--backend", backend)
    terminal.signal(number)
    assert terminal.end() == 0
    assert terminal.out.text == ""
    assert "Traceback" not in terminal.err.text


def test_a_second_signal_does_not_wait_for_started_work(broker: StartBroker, serve: Serve, start: StartCommand) -> None:
    _, url = broker()
    terminal = serve(url)
    start("ask", "mail.hang", "{}", "-b", url, "--timeout", "600")
    terminal.err.wait_for("^hanging$")
    terminal.signal(signal.SIGINT)
    terminal.err.wait_for("stopping after SIGINT")
    terminal.signal(signal.SIGINT)
    assert terminal.end() == -signal.SIGINT
    assert "Traceback" not in terminal.err.text


def test_ctrl_c_while_connecting_is_0(app: Path, start: StartCommand) -> None:
    terminal = start("run", "app:bus", "--broker", "unix:///nowhere/at/all.sock")
    terminal.err.wait_for("not connected to")
    terminal.signal(signal.SIGINT)
    assert terminal.end() == 0
    assert "Traceback" not in terminal.err.text


def test_the_environment_tells_where_the_broker_is(app: Path, broker: StartBroker, start: StartCommand) -> None:
    _, url = broker()
    terminal = start("run", "app:bus", env={"CQRSBUS_URL": url})
    terminal.err.wait_for(f"serving mailer on {url}$")


def test_the_file_tells_where_the_broker_is(
    app: Path, tmp_path: Path, broker: StartBroker, start: StartCommand
) -> None:
    _, url = broker()
    (tmp_path / "cqrsbus.toml").write_text(f'url = "{url}"\n')
    start("run", "app:bus").err.wait_for(f"serving mailer on {url}$")


@pytest.mark.parametrize(
    ("target", "code", "expected"),
    [
        ("app:nothing", 2, "the module app has no 'nothing'; there is app:bus, app:spare"),
        ("app:number", 2, "app:number is not a Bus but an int; there is app:bus, app:spare"),
        ("nowhere:bus", 2, "there is no module 'nowhere'"),
        ("broken:bus", 1, "broken cannot be imported: SyntaxError"),
    ],
)
def test_a_wrong_target_is_told(target: str, code: int, expected: str, app: Path, call: RunCommand) -> None:
    (app.parent / "broken.py").write_text("def (:\n")
    ended, out, err = call("run", target)
    assert (ended, out) == (code, "")
    assert expected in err.splitlines()[-1]


def test_an_unreachable_broker_is_4(app: Path, tmp_path: Path, call: RunCommand) -> None:
    source = app.read_text().replace("connect_timeout=10", "connect_timeout=0.3")
    app.write_text(source)
    code, _, err = call("run", "app:bus", "--broker", f"unix://{tmp_path}/none.sock")
    assert code == 4
    last = err.splitlines()[-1]
    assert last.startswith(f"error: not connected to unix://{tmp_path}/none.sock within 0.3 s: ")
    assert last.endswith("No such file or directory")


def test_a_second_owner_of_a_command_is_1_and_names_both(broker: StartBroker, serve: Serve, call: RunCommand) -> None:
    _, url = broker()
    terminal = serve(url)
    (terminal.cwd / "rival.py").write_text(
        "from cqrsbus import Bus\nbus = Bus('rival')\n"
        "@bus.command_handler('mail.store')\nasync def store(message: dict[str, int]) -> None: ...\n"
    )
    code, _, err = call("run", "rival:bus", "--broker", url, "--json")
    assert code == 1
    told = json.loads(err.splitlines()[-1])
    assert told["error"] == "TopologyError"
    assert "mailer" in told["message"]
    assert "rival" in told["message"]
