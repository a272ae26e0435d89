import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.cli.terminal import RunCommand, Serve, StartBroker, StartCommand


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ask_prints_the_answer(backend: str, broker: StartBroker, serve: Serve, call: RunCommand) -> None:
    _, url = broker("--backend", backend)
    serve(url, "--backend", backend)
    code, out, err = call("ask", "mail.echo", '{"n": 1, "t": "中文"}', "--broker", url, "--backend", backend)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["got"] == {"n": 1, "t": "中文"}
    assert answer["raw"] == "AP8="
    assert len(out.splitlines()) > 3


def test_ask_in_all_its_outcomes(broker: StartBroker, serve: Serve, call: RunCommand) -> None:
    _, url = broker()
    serve(url)
    code, out, _ = call("ask", "mail.echo", "--json", stdin="[1]", env={"CQRSBUS_URL": url})
    assert (code, len(out.splitlines()), json.loads(out)["got"]) == (0, 1, [1])

    code, out, err = call("ask", "mail.fail", "{}", "-b", url)
    assert (code, out) == (3, "")
    assert err == "error: the handler in 'mailer' failed for 'mail.fail': LookupError: no such \\u001b[31mmail"

    code, out, err = call("ask", "mail.nobody", "{}", "-b", url, "--json")
    assert (code, out) == (1, "")
    assert json.loads(err)["error"] == "NoHandlerError"

    code, out, err = call("ask", "mail.hang", "{}", "-b", url, "--timeout", "0.2")
    assert (code, out) == (5, "")
    assert err.startswith("error: deadline exceeded for 'mail.hang'")


def test_send_in_all_its_outcomes(broker: StartBroker, serve: Serve, call: RunCommand) -> None:
    _, url = broker()
    serving = serve(url)
    assert call("send", "mail.store", '{"n": 1}', "-b", url) == (0, "", "")
    serving.err.wait_for("stored {'n': 1}")
    code, out, _ = call("send", "mail.store", "-", "--wait", "-b", url, "--json", stdin='{"n": 2}')
    assert code == 0
    assert json.loads(out).keys() == {"topic", "message_id"}
    assert "stored {'n': 2}" in serving.err.text

    code, _, err = call("send", "mail.store", '"text"', "--wait", "-b", url)
    assert code == 3
    assert err.startswith("error: invalid message for 'mail.store'")
    assert call("send", "mail.nobody", "{}", "-b", url)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("a..b", "{}"), "invalid topic: the topic 'a..b' has an empty token"),
        (("a.*", "{}"), "invalid topic: the topic 'a.*' has the wildcard"),
        (("a.b", "{'x': 1}"), "the message is not JSON: Expecting property name"),
        (("a.b", "NaN"), "the message is not JSON: NaN is not a JSON value"),
        (("a.b", "[" * 100_000), "the message is not JSON: "),
        (("a.b", "-"), "there is no message"),
        (("a.b",), "there is no message"),
        (("a.b", "{}", "--header", "novalue"), "--header 'novalue' is not of the form KEY=VALUE"),
        (("a.b", "{}", "--header", "k=\udcff"), r"--header 'k=\udcff' is not text in UTF-8"),
        (("a.b", "{}", "--broker", "http://x"), "is not a transport URL"),
        (("a.b", "{}", "--broker", "memory:"), "is inside one process"),
        (("a.b", "{}", "--timeout", "-1"), "--timeout: Input should be greater than 0"),
    ],
)
def test_what_cannot_be_sent_is_2_and_needs_no_broker(
    arguments: tuple[str, ...], expected: str, invoke: RunCommand
) -> None:
    code, out, err = invoke("publish", *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_what_is_no_text_is_2(start: StartCommand) -> None:
    terminal = start("send", "a.b", stdin='"\udcff"', env={"PYTHONIOENCODING": "utf-8"})
    assert terminal.end() == 2
    assert terminal.err.text.startswith("error: the message is not JSON: 'utf-8' codec can't decode byte 0xff")
    assert len(terminal.err.text.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="writes to /dev/full")
def test_what_cannot_be_written_is_1(broker: StartBroker, start: StartCommand) -> None:
    _, url = broker()
    with Path("/dev/full").open("wb") as full:
        terminal = start("publish", "a.b", "{}", "--json", "-b", url, stdout=full.fileno())
        assert terminal.end() == 1
    assert json.loads(terminal.err.text)["message"] == "cannot write to the standard output: No space left on device"


def test_a_url_with_an_unknown_option_is_2(call: RunCommand) -> None:
    code, out, err = call("ask", "a.b", "{}", "--broker", "unix:///x?colour=red")
    assert (code, out) == (2, "")
    assert "unknown option 'colour'" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["send", "ask", "publish", "sub"])
def test_an_unreachable_broker_is_4_in_time(verb: str, call: RunCommand) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        began = time.monotonic()
        message = () if verb == "sub" else ("{}",)
        code, out, err = call(verb, "a.b", *message, "-b", url, "--connect-timeout", "0.5", "--log-level", "error")
    assert (code, out) == (4, "")
    assert err.startswith(f"error: not connected to {url} within 0.5 s: ")
    assert err.endswith("Connection refused")
    assert len(err.splitlines()) == 1
    assert time.monotonic() - began < 10


def test_what_is_no_broker_is_4(call: RunCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        code, _, err = call("ask", "a.b", "{}", "-b", url, "--connect-timeout", "1")
    assert code == 4
    assert url in err


def test_a_broker_lost_while_waiting_is_4(broker: StartBroker, serve: Serve, start: StartCommand) -> None:
    terminal, url = broker()
    serving = serve(url)
    asking = start("ask", "mail.hang", "{}", "-b", url, "--timeout", "600")
    serving.err.wait_for("^hanging$")
    terminal.kill()
    assert asking.end() == 4
    assert asking.err.wait_for("^error: ").string.startswith("error: the connection was lost")


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_ctrl_c_while_waiting_for_an_answer_is_130(
    backend: str, broker: StartBroker, serve: Serve, start: StartCommand
) -> None:
    _, url = broker()
    serving = serve(url)
    asking = start("ask", "mail.hang", "{}", "-b", url, "--timeout", "600", "--backend", backend)
    serving.err.wait_for("^hanging$")
    asking.signal(signal.SIGINT)
    assert asking.end() == 130
    assert (asking.out.text, asking.err.text) == ("", "")


@pytest.mark.parametrize("verb", ["send", "ask", "publish"])
def test_ctrl_c_while_connecting_is_130(verb: str, start: StartCommand) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        terminal = start(verb, "a.b", "{}", "-b", url, "--connect-timeout", "600")
        terminal.err.wait_for("not connected to")
        terminal.signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.err.text


def test_headers_reach_the_other_end(broker: StartBroker, start: StartCommand, call: RunCommand) -> None:
    _, url = broker()
    listening = start("sub", "a.*", "-b", url, "--json", "--count", "1")
    listening.err.wait_for("subscribed to")
    assert call("publish", "a.b", "{}", "-b", url, "-H", "tenant=acme", "--header", "eq=a=b") == (0, "", "")
    assert listening.end() == 0
    assert json.loads(listening.out.text)["headers"] == {"tenant": "acme", "eq": "a=b"}
