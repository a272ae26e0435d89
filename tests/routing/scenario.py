"""A router with clients who say one thing at a time, for tests that tell a story."""

from typing import Any

from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.routing.router import Router
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header


class Scenario:
    """Clients are numbers; what each was told is kept until it is looked at."""

    def __init__(self, *services: str, **limits: Any) -> None:
        self.router = Router(RoutingLimits(**limits))
        self.now = 0.0
        self.told: dict[int, list[Frame]] = {}
        for number, service in enumerate(services, start=1):
            self.router.attach(number, service, f"{service}-{number}")
            self.told[number] = []

    def say(self, client: int, frame: Frame) -> None:
        for number, told in self.router.receive(client, frame, self.now):
            self.told[number].append(told)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for number, told in self.router.expire(self.now):
            self.told[number].append(told)

    def leave(self, client: int) -> None:
        for number, told in self.router.detach(client, self.now):
            self.told[number].append(told)

    def take(self, client: int) -> list[Frame]:
        """What this client was told since the last look."""
        taken, self.told[client] = self.told[client], []
        return taken

    def kinds(self, client: int) -> list[str]:
        return [Kind(frame.kind).name for frame in self.take(client)]

    def subscribe(self, client: int, channel: int, kind: str, topic: str, **fields: Any) -> Frame:
        """Subscribe; returns the answer."""
        header = encode_header({"kind": kind, **fields})
        self.say(client, Frame.of(Kind.SUBSCRIBE, channel=channel, id=channel, topic=topic.encode(), header=header))
        answer = self.told[client].pop(0)
        assert answer.id == channel or answer.kind == Kind.ERROR
        return answer

    def send(self, client: int, kind: int, topic: str, **head: Any) -> None:
        """SEND, ASK or PUBLISH; ``body`` and the head's fields as keywords."""
        envelope = encode_envelope(Envelope("m"))
        self.say(client, Frame.of(kind, topic=topic.encode(), header=envelope, **head))


def reason(frame: Frame) -> str:
    return str(decode_header(frame.header)["reason"])
