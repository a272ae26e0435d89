import json
import signal
from typing import Any

import pytest

from tests.cli.terminal import RunCommand, StartBroker, StartCommand


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("verb", "done"), [("publish", 600), ("send", 200), ("ask", 200)])
def test_every_verb(verb: str, done: int, backend: str, broker: StartBroker, call: RunCommand) -> None:
    _, url = broker()
    many = ("--count", "200", "--publishers", "2", "--subscribers", "3", "--window", "5")
    code, out, err = call("bench", verb, *many, "-b", url, "--json", "--backend", backend)
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert (found["messages"], found["done"], found["lost"]) == (200, done, 0)
    latency = found["latency_us"]
    assert 0 < latency["p50"] <= latency["p99.9"] <= latency["max"]
    assert found["bytes_per_second"] == pytest.approx(found["per_second"] * 128, rel=0.01)


def test_for_a_person_it_prints_a_table_and_a_histogram(broker: StartBroker, call: RunCommand) -> None:
    _, url = broker()
    code, out, err = call("bench", "--seconds", "0.2", "--size", "1000", "-b", url, env={"PYTHONIOENCODING": "utf-8"})
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "deliveries of 1000 bytes in 0." in lines[0]
    assert [line.split()[0] for line in lines[3:8]] == ["p50", "p90", "p99", "p99.9", "max"]
    assert any("█" in line for line in lines[9:])


def test_what_is_too_large_is_told_in_a_line(broker: StartBroker, call: RunCommand) -> None:
    _, url = broker()
    code, out, err = call("bench", "ask", "--size", "2000000", "-b", url)
    assert (code, out) == (1, "")
    # A machine that stood still is warned of, in the log.
    (told,) = [line for line in err.splitlines() if " WARNING " not in line]
    assert told.startswith("error: message too large")


@pytest.mark.parametrize(
    "wrong", [("shout",), ("--size", "7"), ("--count", "0"), ("--window", "0"), ("--broker", "memory:")]
)
def test_wrong_usage_is_2(wrong: tuple[str, ...], invoke: RunCommand) -> None:
    code, out, _ = invoke("bench", *wrong)
    assert (code, out) == (2, "")


def test_a_broker_lost_meanwhile_is_4(broker: StartBroker, start: StartCommand) -> None:
    terminal, url = broker()
    running = start("bench", "ask", "--seconds", "60", "-b", url, "--log-level", "debug")
    running.err.wait_for("connected")
    terminal.kill()
    assert running.end() == 4


def test_ctrl_c_ends_it(broker: StartBroker, start: StartCommand) -> None:
    _, url = broker()
    running = start("bench", "--seconds", "60", "-b", url, "--log-level", "debug")
    running.err.wait_for("connected")
    running.signal(signal.SIGINT)
    assert running.end() == 130
    assert "Traceback" not in running.err.text
