"""The transport is chosen by the URL."""

import anyio
import pytest

from cqrsbus import transports
from cqrsbus.transports import connect, listen

pytestmark = pytest.mark.anyio


async def test_a_bad_url_is_a_value_error_for_both() -> None:
    with anyio.fail_after(5):
        for url in ("http://h:1", "memory:", "tcp://h"):
            with pytest.raises(ValueError, match="expected"):
                await listen(url)
            with pytest.raises(ValueError, match="expected"):
                await connect(url)


async def test_an_unknown_option_is_refused() -> None:
    with anyio.fail_after(5):
        with pytest.raises(ValueError, match=r"unknown option 'nodelay' for tcp \(it takes none\)"):
            await listen("tcp://127.0.0.1:0?nodelay=1")
        with pytest.raises(ValueError, match=r"unknown option 'x' for unix \(known: mode\)"):
            await connect("unix:///s?x=1")


async def test_every_public_name_is_exported() -> None:
    here = {name for name, value in vars(transports).items() if getattr(value, "__module__", "").startswith("cqrsbus.")}
    public = {name for name in here if not name.startswith("_") and name != "ConnectError"}
    assert public | {"Sendable"} == set(transports.__all__)
