"""A consumer: the deliveries of one subscription, given to its handlers.

The rules:

1. At most ``concurrency`` deliveries are worked on at a time, each by one worker. Workers are started when they are
   needed and stay.
2. There is no task and no cancel scope per message: a worker has one scope for life. When a caller leaves, the
   scope of the worker that is busy for it is cancelled, and the worker is replaced.
3. What has expired or was cancelled while it waited is never started.
4. Every delivery is settled exactly once, whatever its handler does.
5. Which delivery is next is not decided here: see :mod:`cqrsbus.bus.waiting`.
6. A worker that takes a delivery rouses others for what else may be started, at most two at a time. So work that waits
   for something is soon done side by side; and of work that does not, one worker does all while the others rest.
7. Where there is only one, and nobody can stop it, the work goes on from one delivery to the next by itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.turn import Turn, is_worth_starting
from cqrsbus.bus.waiting import ArrivalOrder, Reading, Waiting
from cqrsbus.errors import Code
from cqrsbus.links.port import Delivery
from cqrsbus.waiter import MakeWaiter, Waiter, waiters

#: A handler that never waits lets the other tasks of the loop run after so many messages.
IN_A_ROW: Final = 64
#: So many workers are roused before one of them runs.
AT_ONCE: Final = 2
_CANCELLED: Final = {"reason": "the handler was cancelled"}

#: Gives the next delivery to work that can go on with it; None: it is to end.
More = Callable[[], Delivery | None]
#: Handles a delivery in the worker's scope and settles it, and then whatever it is given more; raises nothing but
#: cancellation.
Work = Callable[[Delivery, HandlerScope, Reading | None, More | None], Awaitable[None]]


class Consumer:
    """Works off deliveries.

    Args:
        work: What is done with each.
        concurrency: How many at a time.
        cancellable: Whether running work is stopped when its caller leaves.
        tasks: Where workers run.
        waiting: Where they wait; default: in the order they come.
    """

    def __init__(
        self,
        work: Work,
        *,
        concurrency: int,
        cancellable: bool,
        tasks: TaskGroup,
        waiting: Waiting | None = None,
    ) -> None:
        self._work = work
        self._concurrency = concurrency
        self._cancellable = cancellable
        self._tasks = tasks
        self._waiting: Waiting = ArrivalOrder() if waiting is None else waiting
        #: Where one worker does all, and nobody else has a say in it, it need not come back for each delivery.
        is_alone = concurrency == 1 and not cancellable
        self._turn = Turn(self._waiting) if is_alone and isinstance(self._waiting, ArrivalOrder) else None
        self._resting: list[Waiter] = []
        self._make_waiter: MakeWaiter | None = None
        self._workers = 0
        #: Workers that are to run and have not yet.
        self._roused = 0
        #: Set when all is done, if anybody waits for that.
        self._all_idle: anyio.Event | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return not self._waiting and len(self._resting) == self._workers

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries; never waits. How many wait is bounded by the subscription's credit."""
        self._waiting.put(deliveries)
        self._rouse()

    def hand_back(self) -> None:
        """Give back everything that has not been started."""
        for delivery in self._waiting.clear():
            delivery.hand_back()
        self._note_idle()

    async def wait_idle(self) -> None:
        """Wait until nothing waits and nothing is worked on."""
        await checkpoint()
        while not self.is_idle:
            if self._all_idle is None:
                self._all_idle = anyio.Event()
            await self._all_idle.wait()

    def _rouse(self) -> None:
        """Get a worker for what may be started, if there is something and one is to be had."""
        is_one_free = self._resting or self._workers < self._concurrency
        if not is_one_free or self._roused >= AT_ONCE or not self._waiting.is_ready:
            return
        self._roused += 1
        if self._resting:
            self._resting.pop().wake()
        else:
            self._workers += 1
            self._tasks.start_soon(self._run_worker)

    async def _run_worker(self) -> None:
        self._roused -= 1
        scope = HandlerScope(self._tasks)
        try:
            with scope.cancel_scope:
                await self._serve(scope)
        except anyio.get_cancelled_exc_class():
            # The bus ends. Or it was no scope that was cancelled but a task within the handler, which is no affair of
            # the other messages.
            await checkpoint_if_cancelled()
        finally:
            self._workers -= 1
            self._note_idle()
        self._rouse()

    async def _serve(self, scope: HandlerScope) -> None:
        in_a_row = 0
        # A caller may leave when its work is as good as done; that must not hit the next one.
        while not scope.cancel_scope.cancel_called:
            if in_a_row == IN_A_ROW:
                in_a_row = 0
                await checkpoint()
            taken = self._waiting.take()
            if taken is None:
                in_a_row = 0
                await self._rest()
                continue
            delivery, reading = taken
            if not is_worth_starting(delivery):
                if reading is not None:
                    self._waiting.release(reading)
                continue
            in_a_row += 1
            if (turn := self._turn) is not None:
                turn.left = IN_A_ROW - in_a_row
                await self._work_in_turn(delivery, scope, turn)
                in_a_row = IN_A_ROW - turn.left
            else:
                await self._work_on_one(delivery, scope, reading)

    async def _work_on_one(self, delivery: Delivery, scope: HandlerScope, reading: Reading | None) -> None:
        if self._concurrency > 1:
            self._rouse()
        if self._cancellable:
            delivery.on_cancel = scope.cancel
        try:
            await self._work(delivery, scope, reading, None)
        except BaseException:
            # Settled already, unless the work was cancelled midway.
            delivery.fail(Code.CANCELLED, _CANCELLED)
            raise
        finally:
            if reading is not None:
                self._waiting.release(reading)

    async def _work_in_turn(self, delivery: Delivery, scope: HandlerScope, turn: Turn) -> None:
        turn.current = delivery
        try:
            await self._work(delivery, scope, None, turn.next)
        except BaseException:
            # See above.
            turn.current.fail(Code.CANCELLED, _CANCELLED)
            raise
        finally:
            turn.current = None

    async def _rest(self) -> None:
        """Wait until there may be work."""
        if self._make_waiter is None:
            self._make_waiter = waiters()
        waiter = self._make_waiter()
        self._resting.append(waiter)
        self._note_idle()
        try:
            await waiter.wait()
        finally:
            if waiter in self._resting:
                self._resting.remove(waiter)
            else:
                self._roused -= 1

    def _note_idle(self) -> None:
        if self._all_idle is not None and self.is_idle:
            self._all_idle.set()
            self._all_idle = None
