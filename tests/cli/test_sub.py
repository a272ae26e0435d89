import json
import os
import re
import signal

import pytest

from tests.cli.terminal import RunCommand, StartBroker, StartCommand


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_terminals_talk(backend: str, broker: StartBroker, start: StartCommand, call: RunCommand) -> None:
    _, url = broker("--backend", backend)
    listening = start("sub", "event.>", "--broker", url, "--backend", backend)
    listening.err.wait_for(r"^subscribed to event\.>$")
    assert call("publish", "event.mail.stored", '{"n": 1}', "--broker", url) == (0, "", "")
    line = listening.out.wait_for("event").string
    assert re.fullmatch(r'\d\d:\d\d:\d\d event\.mail\.stored anonymous-\w+ \{"n":1\}', line)
    listening.signal(signal.SIGINT)
    assert listening.end() == 0
    assert listening.err.text == "subscribed to event.>"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_broker_killed_and_restarted_loses_no_subscription(
    backend: str, tcp_url: str, broker: StartBroker, start: StartCommand, call: RunCommand
) -> None:
    terminal, url = broker("--backend", backend, url=tcp_url)
    listening = start("sub", "event.>", "-b", url, "--json", "-n", "2", "--log-level", "info", "--backend", backend)
    connected = rf"INFO .*: connected to {url}$"
    listening.err.wait_for(connected)
    listening.err.wait_for("subscribed to")
    assert call("publish", "event.first", "1", "-b", url)[0] == 0
    listening.out.wait_for("event.first")

    terminal.kill()
    terminal.end()
    listening.err.wait_for("not connected to")
    broker("--backend", backend, url=url)
    listening.err.wait_for(connected)
    assert call("publish", "event.second", "2", "-b", url)[0] == 0
    assert listening.end() == 0
    assert [json.loads(line)["message"] for line in listening.out.text.splitlines()] == [1, 2]
    assert "Traceback" not in listening.err.text


def test_a_group_shares_its_events(broker: StartBroker, start: StartCommand, call: RunCommand) -> None:
    _, url = broker()
    members = [start("sub", "event.*", "-b", url, "--group", "g", "--count", "1") for _ in range(2)]
    for member in members:
        member.err.wait_for("subscribed to")
    for number in range(2):
        assert call("publish", "event.x", str(number), "-b", url)[0] == 0
    # Each ends after the one event it was given; together they have both.
    assert [member.end() for member in members] == [0, 0]
    assert sorted(member.out.text[-1] for member in members) == ["0", "1"]


def test_a_malformed_pattern_is_2(invoke: RunCommand) -> None:
    code, out, err = invoke("sub", "a.>.b")
    assert (code, out) == (2, "")
    assert err.startswith("error: invalid topic: the pattern 'a.>.b' has '>' at position 2")


def test_ctrl_c_while_connecting_is_0(start: StartCommand) -> None:
    listening = start("sub", "a", "-b", "unix:///nowhere/at/all.sock", "--connect-timeout", "600")
    listening.err.wait_for("not connected to")
    listening.signal(signal.SIGINT)
    assert listening.end() == 0
    assert "Traceback" not in listening.err.text


def test_a_reader_that_leaves_ends_it_quietly(broker: StartBroker, start: StartCommand, call: RunCommand) -> None:
    _, url = broker()
    reading, writing = os.pipe()
    listening = start("sub", "a", "-b", url, stdout=writing)
    os.close(writing)
    listening.err.wait_for("subscribed to")
    os.close(reading)
    assert call("publish", "a", "1", "-b", url)[0] == 0
    assert listening.end() == 1
    assert listening.err.text == "subscribed to a"
