from pathlib import Path

import pytest

from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.cli.failures import UsageError
from cqrsbus.cli.settings import Settings, Values, load_settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_are_the_brokers_own() -> None:
    settings = load_settings()
    assert settings.limits() == BrokerLimits()
    assert settings.listen == ["tcp://127.0.0.1:9100"]
    assert (settings.timeout, settings.connect_timeout, settings.backend) == (3.0, 3.0, "asyncio")


def test_option_before_environment_before_file_before_default(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def heartbeat(**options: object) -> float:
        return load_settings(**options).heartbeat  # type: ignore[arg-type]

    assert heartbeat() == 5
    write(here / "cqrsbus.toml", "heartbeat = 1")
    assert heartbeat() == 1
    monkeypatch.setenv("CQRSBUS_HEARTBEAT", "2")
    assert heartbeat() == 2
    assert heartbeat(heartbeat=3.0) == 3
    assert heartbeat(heartbeat=None) == 2, "an option that was not given says nothing"


def test_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRSBUS_URL", "")
    assert load_settings().url == "tcp://127.0.0.1:9100"


def test_the_named_file_is_read_instead_of_the_one_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "cqrsbus.toml", "max_connections = 1")
    monkeypatch.setenv("CQRSBUS_CONFIG", str(write(here / "two.toml", "max_connections = 2")))
    assert load_settings().max_connections == 2
    assert load_settings(write(here / "three.toml", "max_connections = 3")).max_connections == 3


def test_every_limit_reaches_the_broker(here: Path) -> None:
    limits = {
        "max_connections": 1,
        "max_opening": 2,
        "max_frame": 5000,
        "max_header": 4000,
        "max_outbox": 6000,
        "handshake_timeout": 7.5,
        "heartbeat": 8.5,
        "write_timeout": 9.5,
        "drain_timeout": 10.5,
    }
    write(here / "cqrsbus.toml", "\n".join(f"{key} = {value}" for key, value in limits.items()))
    made = load_settings().limits()
    assert {key: getattr(made, key) for key in limits} == limits


@pytest.mark.parametrize(
    "given", ["unix:///a,tcp://127.0.0.1:1", "unix:///a tcp://127.0.0.1:1", "\nunix:///a, tcp://127.0.0.1:1\n"]
)
def test_one_variable_gives_several_urls(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRSBUS_LISTEN", given)
    assert load_settings().listen == ["unix:///a", "tcp://127.0.0.1:1"]


def test_file_gives_several_urls(here: Path) -> None:
    write(here / "cqrsbus.toml", 'listen = ["unix:///a", "tcp://127.0.0.1:1"]')
    assert load_settings().listen == ["unix:///a", "tcp://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "# first\nmax_frames = 5000\n",
            "bad.toml, line 2: max_frames: there is no such setting; did you mean max_frame?",
        ),
        ("zzz = 1\n", "bad.toml, line 1: zzz: there is no such setting"),
        ("heartbeat = 1\n\n[broker]\nurl = 'x'\n", "bad.toml, line 3: broker: there is no such setting"),
        ("timeout = 1\nmax_frame = '5000'\n", "bad.toml, line 2: max_frame: Input should be a valid integer"),
        ("heartbeat = true\n", "bad.toml, line 1: heartbeat: Input should be a valid number"),
        ("insecure = 1\n", "bad.toml, line 1: insecure: Input should be a valid boolean"),
        ("max_frame = 1\n", "bad.toml, line 1: max_frame: Input should be greater than or equal to 4096"),
        ("heartbeat = inf\n", "bad.toml, line 1: heartbeat: Input should be a finite number"),
        ("backend = 'curio'\n", "bad.toml, line 1: backend: Input should be 'asyncio', 'uvloop' or 'trio'"),
        ("listen = []\n", "bad.toml, line 1: listen: List should have at least 1 item"),
        ("heartbeat 5\n", "bad.toml is not a TOML file: .*line 1"),
    ],
)
def test_a_wrong_file_is_refused_by_name_line_and_key(text: str, expected: str, here: Path) -> None:
    with pytest.raises(UsageError, match=expected):
        load_settings(write(here / "bad.toml", text))


def test_a_wrong_file_is_refused_even_where_it_is_overridden(here: Path) -> None:
    with pytest.raises(UsageError, match=r"line 1: max_frame"):
        load_settings(write(here / "bad.toml", "max_frame = 'x'"), max_frame=5000)


def test_a_missing_named_file_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read none\.toml: No such file"):
        load_settings(Path("none.toml"))


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRSBUS_MAX_FRAME", "lots")
    with pytest.raises(UsageError, match=r"^CQRSBUS_MAX_FRAME: Input should be a valid integer"):
        load_settings()


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--connect-timeout: Input should be greater than 0"):
        load_settings(connect_timeout=0.0)


def test_settings_are_the_values_and_nothing_else() -> None:
    assert Settings.model_fields.keys() == Values.model_fields.keys()
