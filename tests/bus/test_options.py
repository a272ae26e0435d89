"""The keywords that the forms of a call share are those that the call has."""

import inspect
from collections.abc import Callable
from typing import get_type_hints

import pytest

from cqrsbus.bus.caller import Caller
from cqrsbus.bus.options import (
    AskOptions,
    GatherOptions,
    PublishOptions,
    SendOptions,
    StreamOptions,
    SubscribeOptions,
)


@pytest.mark.parametrize(
    ("call", "options", "own"),
    [
        (Caller.send, SendOptions, set[str]()),
        (Caller.ask, AskOptions, {"returns"}),
        (Caller.stream, StreamOptions, {"returns"}),
        (Caller.gather, GatherOptions, {"returns"}),
        (Caller.publish, PublishOptions, set[str]()),
        (Caller.subscribe, SubscribeOptions, set[str]()),
    ],
)
def test_names_and_types(call: Callable[..., object], options: type, own: set[str]) -> None:
    parameters = inspect.signature(call).parameters.values()
    keywords = {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY} - own
    hints = get_type_hints(call)
    assert get_type_hints(options) == {name: hints[name] for name in keywords}
