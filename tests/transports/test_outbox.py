"""When there is room for more in what waits to be sent."""

import pytest

from cqrsbus.transports.outbox import SEND_BUFFER, Outbox


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(lambda: None, lambda: None, None)


@pytest.mark.parametrize(("waiting", "has_room"), [(0, True), (SEND_BUFFER - 1, True), (SEND_BUFFER, False)])
def test_there_is_room_until_so_much_waits(outbox: Outbox, waiting: int, has_room: bool) -> None:
    if waiting:
        outbox.put_bytes(bytes(waiting))
    assert outbox.has_room() is has_room


def test_there_is_room_again_when_it_was_sent(outbox: Outbox) -> None:
    outbox.put_bytes(bytes(SEND_BUFFER))
    outbox.take()
    assert not outbox.has_room()
    outbox.sent(1)
    assert outbox.has_room()


def test_where_nothing_is_taken_any_more_nobody_waits_for_room(outbox: Outbox) -> None:
    outbox.put_bytes(bytes(SEND_BUFFER))
    outbox.clear()
    outbox.closed = True
    assert outbox.has_room()
