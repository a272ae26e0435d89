"""examples/two_processes: service.py and client.py as processes of their own, by way of a broker."""

import sys
from pathlib import Path

import anyio
import pytest

from cqrsbus import Broker
from examples.email.processes import ROOT, Processes

pytestmark = pytest.mark.anyio

FOLDER = ROOT / "examples" / "two_processes"


async def test_the_client_gets_its_answer_from_the_service(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with Broker("tcp://127.0.0.1:0") as broker, Processes(tmp_path) as processes:
            processes.environment |= {"CQRSBUS_URL": broker.url, "PYTHONPATH": str(ROOT)}
            await processes.start("service", str(FOLDER / "service.py"), ready="notes: ready")

            first = await anyio.run_process([sys.executable, FOLDER / "client.py"], env=processes.environment)
            second = await anyio.run_process([sys.executable, FOLDER / "client.py"], env=processes.environment)

            assert first.stdout.decode() == "['buy tea']\n"
            assert second.stdout.decode() == "['buy tea', 'buy tea']\n", "the service is the one that remembers"
            assert (first.stderr, second.stderr) == (b"", b"")
            assert processes.logs() == {}


@pytest.mark.parametrize("program", ["service.py", "client.py"])
def test_each_program_fits_on_a_screen(program: str) -> None:
    assert len((FOLDER / program).read_text().splitlines()) < 30
