"""The keyword arguments that several forms of one call share; :mod:`cqrsbus.bus.caller` says what they mean."""

from collections.abc import Mapping, Sequence
from typing import TypedDict


class CallOptions(TypedDict, total=False):
    """What every call takes."""

    timeout: float | None
    headers: Mapping[str, str] | None


class AskOptions(CallOptions, total=False):
    """What ``ask`` takes."""

    raises: Sequence[type[Exception]]


class PublishOptions(CallOptions, total=False):
    """What ``publish`` takes."""

    message_id: str | None


class SendOptions(PublishOptions, total=False):
    """What ``send`` takes."""

    wait: bool
    raises: Sequence[type[Exception]]


class StreamOptions(AskOptions, total=False):
    """What ``stream`` takes."""

    credit: int
    credit_bytes: int


class GatherOptions(AskOptions, total=False):
    """What ``gather`` takes."""

    quorum: int | None


class SubscribeOptions(TypedDict, total=False):
    """What ``subscribe`` takes."""

    group: str
    timeout: float | None
