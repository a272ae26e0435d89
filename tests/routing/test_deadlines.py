"""The heap of deadlines, against a dictionary."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cqrsbus.routing.deadlines import SLACK, DeadlineHeap

KEYS = st.sampled_from("abcdef")
TIMES = st.integers(0, 10).map(float)


class DeadlineMachine(RuleBasedStateMachine):
    """Keys come, move and go."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: DeadlineHeap[str] = DeadlineHeap()
        self.model: dict[str, float] = {}
        #: To look for the earliest drops what was discarded: now and then nobody does.
        self.looks = True

    @rule(key=KEYS, deadline=TIMES)
    def set(self, key: str, deadline: float) -> None:
        self.model[key] = deadline
        self.heap.set(key, deadline)

    @rule(key=KEYS)
    def discard(self, key: str) -> None:
        self.model.pop(key, None)
        self.heap.discard(key)

    @rule(now=TIMES)
    def expire(self, now: float) -> None:
        expected = sorted(deadline for deadline in self.model.values() if deadline <= now)
        popped = list(self.heap.pop_expired(now))
        assert [self.model.pop(key) for key in popped] == expected

    @rule(looks=st.booleans())
    def look(self, *, looks: bool) -> None:
        self.looks = looks

    @invariant()
    def they_agree(self) -> None:
        assert len(self.heap) == len(self.model)
        assert all(key in self.heap for key in self.model)
        earliest, bound = min(self.model.values(), default=None), self.heap.none_before
        assert earliest is None or (bound is not None and bound <= earliest)
        if self.looks:
            assert self.heap.earliest == earliest


TestDeadlines = DeadlineMachine.TestCase


@pytest.mark.parametrize("step", [1, -1], ids=["in order", "out of order"])
def test_memory_follows_what_is_awaited(step: int) -> None:
    heap: DeadlineHeap[int] = DeadlineHeap()
    heap.set(-1, 0.5)
    for number in range(10_000):
        heap.set(number, 20_000.0 + step * number)
        heap.discard(number)
    assert len(heap) == 1
    assert len(heap._in_order) + len(heap._heap) <= 2 + SLACK + 1
    assert list(heap.pop_expired(2000.0)) == [-1]


def test_keys_may_come_while_others_are_taken() -> None:
    heap: DeadlineHeap[str] = DeadlineHeap()
    heap.set("a", 1.0)
    seen: list[str] = []
    for key in heap.pop_expired(5.0):
        seen.append(key)
        if len(seen) < 3:
            heap.set(f"{key}+", 2.0)
            heap.set("later", 6.0)
    assert seen == ["a", "a+", "a++"]
    assert heap.earliest == 6.0


def test_the_order_is_kept_when_what_is_kept_is_looked_through() -> None:
    heap: DeadlineHeap[str] = DeadlineHeap()
    heap.set("gone", 10.0)
    heap.set("late", 5.0)
    heap.discard("gone")
    assert heap.earliest == 5.0
    heap.set("early", 1.0)
    for _ in range(2 * SLACK):
        heap.set("crowd", 0.5)
        heap.discard("crowd")
    heap.set("between", 3.0)
    assert list(heap.pop_expired(20.0)) == ["early", "between", "late"]
