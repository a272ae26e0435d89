"""Those connected, as the router keeps them."""

import pytest

from cqrsbus.routing.consumer_group import ConsumerGroup, SubscriptionKind
from cqrsbus.routing.peer import MAX_STAMP, Peer, Subscription
from cqrsbus.wire.header import decode_header


def test_the_stamp_says_who_sends() -> None:
    peer = Peer(7, "orders", "orders-1")
    assert decode_header(peer.stamp) == {"from": "orders"}
    assert repr(peer) == "<Peer 7 orders/orders-1>"


def test_a_stamp_fits_into_a_head() -> None:
    longest = "s" * (MAX_STAMP - len(Peer(1, "s" * 200, "i").full_stamp) + 200)
    assert len(Peer(1, longest, "i").full_stamp) == MAX_STAMP
    with pytest.raises(ValueError, match="255"):
        Peer(1, f"{longest}s", "i")


def test_the_full_stamp_tells_instances_apart() -> None:
    assert decode_header(Peer(7, "orders", "orders-1").full_stamp) == {"from": "orders", "instance": "orders-1"}


@pytest.mark.parametrize(("messages", "size"), [(2, 1000), (1000, 20)])
def test_credit_is_used_up_and_comes_back(messages: int, size: int) -> None:
    group = ConsumerGroup(SubscriptionKind.QUERY, "q")
    subscription = Subscription(Peer(1, "s", "i"), 1, group, credit_messages=messages, credit_bytes=size)
    for _ in range(2):
        assert subscription.has_credit
        subscription.take(1, 10)
    assert not subscription.has_credit
    subscription.give_back(1, 10)
    assert subscription.has_credit
    assert (subscription.in_hand, subscription.in_hand_bytes, subscription.room) == (1, 10, messages - 1)
