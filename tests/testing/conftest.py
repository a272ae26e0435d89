"""Where a TestBus runs: in the process, and over a socket."""

import pytest


@pytest.fixture(params=["memory", "tcp"])
def broker(request: pytest.FixtureRequest) -> str:
    """Each kind of broker in turn."""
    choice: str = request.param
    return choice
