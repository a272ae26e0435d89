"""The smallest workload, for real: that the processes start, obey, count and end."""

import sys

import pytest

from benchmarks import systems
from benchmarks.figures import Record
from benchmarks.systems.floor import FLOOR
from benchmarks.workloads import codec_alone, large, one_to_one, start_up
from benchmarks.workloads.sizes import SMOKE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process costs is read from /proc")


@pytest.mark.parametrize("name", [systems.ASYNCIO, systems.TRIO, systems.NATS])
def test_one_to_one(name: str) -> None:
    record = Record()
    one_to_one.measure(name, SMOKE, record)
    figures = record.samples[name]
    assert figures["events/s"][0] > 0
    assert 0 < figures["ask p50, one at a time"][0] <= figures["ask p99.9, one at a time"][0]


def test_systems_in_turn_and_what_else_they_are_compared_with() -> None:
    record = Record()
    one_to_one.compare([systems.ASYNCIO, systems.JETSTREAM], SMOKE, record)
    assert record.samples.keys() == {systems.ASYNCIO, systems.JETSTREAM, FLOOR}
    assert all(len(each) == 1 for figures in record.samples.values() for each in figures.values())
    assert record.samples[FLOOR]["ask p50, one at a time"][0] > 0
    assert record.samples[systems.JETSTREAM]["sends/s, 32 in flight"][0] > 0


def test_the_codec_alone_in_turn_with_ours() -> None:
    record = Record()
    one_to_one.compare_with_codec(SMOKE, record)
    costs = [
        record.samples[name]["CPU µs"] for name in (one_to_one.BESIDE_CODEC, codec_alone.SUBJECT, codec_alone.BY_HAND)
    ]
    assert [len(each) for each in costs] == [2, 2, 2]
    assert all(cost > 0 for each in costs for cost in each)


def test_large_messages_go_through_the_relay_and_the_broker() -> None:
    record = Record()
    large.measure(SMOKE, record)
    for size in large.SIZES:
        relay, broker = (record.samples[name][f"ns per byte, {size}"] for name in (large.RELAY, systems.OURS))
        assert len(relay) == len(broker) == 1
        assert relay[0] > 0
        assert broker[0] > 0


def test_imports_are_taken_from_bytecode_wherever_it_may_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    compiled = "import sys, cqrsbus.messages; assert cqrsbus.messages.__cached__.startswith(sys.pycache_prefix)"
    read = "import os.path; assert os.path.exists(cqrsbus.messages.__cached__)"
    monkeypatch.setattr(start_up, "STATEMENTS", (compiled, f"{compiled}; {read}"))
    record = Record()
    start_up.measure(SMOKE, record)
    assert [len(each["ms"]) for each in record.samples.values()] == [5, 5]
    assert all(ms > 0 for each in record.samples.values() for ms in each["ms"])


def test_a_peer_that_is_not_there_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQRSBUS_BENCH_AMQP", raising=False)
    why = systems.missing("aio-pika, bytes")
    assert why is not None
    assert "aio_pika" in why or "CQRSBUS_BENCH_AMQP" in why
    assert systems.missing(systems.OURS) is None
