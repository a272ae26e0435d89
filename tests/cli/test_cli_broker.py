import json
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.terminal import RunCommand, Serve, StartBroker, StartCommand


@pytest.mark.parametrize(
    ("backend", "number"),
    [("asyncio", signal.SIGINT), ("asyncio", signal.SIGTERM), ("uvloop", signal.SIGINT), ("trio", signal.SIGTERM)],
)
def test_listens_says_so_and_ends_at_a_signal(backend: str, number: signal.Signals, broker: StartBroker) -> None:
    terminal, url = broker("--backend", backend)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        pass
    terminal.signal(number)
    assert terminal.end() == 0
    assert terminal.out.text == f"listening on {url}"
    assert "Traceback" not in terminal.err.text


def test_each_url_is_told_as_json(tmp_path: Path, start: StartCommand) -> None:
    terminal = start("broker", "-l", "tcp://127.0.0.1:0", "--listen", f"unix://{tmp_path}/b.sock", "--json")
    first = json.loads(terminal.out.wait_for("{").string)
    second = json.loads(terminal.out.wait_for("{").string)
    assert first["listening"].startswith("tcp://127.0.0.1:")
    assert second == {"listening": f"unix://{tmp_path}/b.sock"}
    terminal.signal(signal.SIGTERM)
    assert terminal.end() == 0
    assert not (tmp_path / "b.sock").exists()


def test_a_port_in_use_is_1(call: RunCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = call("broker", "--listen", url)
    assert (code, out) == (1, "")
    assert err == f"error: cannot listen on {url}: 127.0.0.1: Address already in use"


@pytest.mark.parametrize("url", [f"unix:///{'x' * 200}", f"tcp://{'x' * 70}.test:0"], ids=["path", "name"])
def test_a_place_that_there_cannot_be_is_1(url: str, call: RunCommand) -> None:
    code, out, err = call("broker", "--insecure", "--listen", url)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1


def test_a_live_brokers_socket_is_1(tmp_path: Path, start: StartCommand, call: RunCommand) -> None:
    url = f"unix://{tmp_path}/b.sock"
    start("broker", "--listen", url).out.wait_for("listening")
    code, out, err = call("broker", "--listen", url, "--json")
    assert (code, out) == (1, "")
    assert json.loads(err)["message"] == f"cannot listen on {url}: a live broker listens there already"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", "is not a transport URL"),
        ("tcp://127.0.0.1", "the port is missing"),
        ("tcp://0.0.0.0:0", "add --insecure if the network is trusted"),
        ("memory:shared", "is inside one process"),
    ],
)
def test_a_url_that_cannot_work_is_2(url: str, expected: str, invoke: RunCommand) -> None:
    code, out, err = invoke("broker", "--listen", url)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_a_url_with_an_unknown_option_is_2(call: RunCommand) -> None:
    code, out, err = call("broker", "--listen", "unix:///tmp/x?colour=red")
    assert (code, out) == (2, "")
    assert "unknown option 'colour'" in err
    assert len(err.splitlines()) == 1


def test_insecure_listens_everywhere(start: StartCommand) -> None:
    terminal = start("broker", "--listen", "tcp://0.0.0.0:0", "--insecure")
    terminal.out.wait_for(r"^listening on tcp://0\.0\.0\.0:\d+$")


def test_limits_hold(broker: StartBroker, call: RunCommand) -> None:
    _, url = broker("--max-frame", "4096")
    code, _, err = call("publish", "a.b", json.dumps("x" * 5000), "--broker", url)
    assert code == 1
    assert "the broker takes 4096" in err


def test_settings_come_from_the_environment_and_the_file(tmp_path: Path, start: StartCommand, call: RunCommand) -> None:
    (tmp_path / "cqrsbus.toml").write_text('listen = "tcp://127.0.0.1:0"\nmax_frame = 4096\n')
    terminal = start("broker", env={"CQRSBUS_MAX_FRAME": "5000"})
    url = terminal.out.wait_for("^listening on (.*)$")[1]
    code, _, err = call("publish", "a.b", json.dumps("x" * 6000), env={"CQRSBUS_URL": url})
    assert code == 1
    assert "the broker takes 5000" in err


def test_a_wrong_file_is_2(tmp_path: Path, call: RunCommand) -> None:
    (tmp_path / "cqrsbus.toml").write_text("# mine\nmax_frame = 'big'\n")
    code, out, err = call("broker")
    assert (code, out) == (2, "")
    assert err == "error: cqrsbus.toml, line 2: max_frame: Input should be a valid integer"


def test_a_second_signal_does_not_wait_for_open_requests(
    broker: StartBroker, serve: Serve, start: StartCommand
) -> None:
    terminal, url = broker("--drain-timeout", "600")
    serving = serve(url)
    start("ask", "mail.hang", "{}", "--broker", url, "--timeout", "600")
    serving.err.wait_for("^hanging$")
    terminal.signal(signal.SIGINT)
    terminal.err.wait_for("stopping after SIGINT")
    terminal.signal(signal.SIGINT)
    assert terminal.end() == -signal.SIGINT
    assert "Traceback" not in terminal.err.text


def test_logs_as_json(broker: StartBroker, call: RunCommand) -> None:
    terminal, url = broker("--log-format", "json")
    assert call("publish", "a.b", "1", "--broker", url)[0] == 0
    record = json.loads(terminal.err.wait_for("connected").string)
    assert record.keys() == {"time", "level", "logger", "message"}
    assert (record["level"], record["logger"]) == ("info", "cqrsbus.broker.session")
