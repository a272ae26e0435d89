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
7. Where deliveries are worked on as they come, a worker's work goes on from one to the next by itself.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from cqrsbus.bus.context import current_context
from cqrsbus.bus.crew import Crew
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.turn import Turn, is_worth_starting
from cqrsbus.bus.waiting import ArrivalOrder, KeyOrder, Reading
from cqrsbus.errors import Code
from cqrsbus.links.port import Deliveries, Delivery
from cqrsbus.native import clock

#: A handler that never waits lets the other tasks of the loop run after so many messages: as many as a batch of events.
IN_A_ROW: Final = 128
_CANCELLED: Final = {"reason": "the handler was cancelled"}

#: Handles a delivery in the worker's scope and settles it, and then whatever its turn gives it more; raises nothing but
#: cancellation.
Work = Callable[[Delivery, HandlerScope, Reading | None, Turn | None], Awaitable[None]]


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
        waiting: ArrivalOrder | KeyOrder | None = None,
    ) -> None:
        self._work = work
        self._concurrency = concurrency
        self._cancellable = cancellable
        self._tasks = tasks
        self._time = clock()
        self._waiting = ArrivalOrder() if waiting is None else waiting
        self._crew = Crew(self._waiting, concurrency, self._start_worker)
        #: Takes deliveries that came together; never waits.
        self.accept: Callable[[Deliveries], None] = self._crew.accept

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return self._crew.is_idle

    def hand_back(self) -> None:
        """Give back everything that has not been started."""
        for delivery in self._waiting.clear():
            delivery.hand_back()
        self._crew.note_idle()

    async def wait_idle(self) -> None:
        """Wait until nothing waits and nothing is worked on."""
        await checkpoint()
        while not self.is_idle:
            await self._crew.idle().wait()

    def _start_worker(self) -> None:
        self._tasks.start_soon(self._run_worker)

    async def _run_worker(self) -> None:
        self._crew.began()
        # Another worker may have started it, between two messages of its own.
        current_context.set(None)
        scope = HandlerScope(self._tasks)
        try:
            with scope.cancel_scope:
                if isinstance(self._waiting, ArrivalOrder):
                    await self._serve_in_turn(scope, self._waiting)
                else:
                    await self._serve_by_key(scope, self._waiting)
        except anyio.get_cancelled_exc_class():
            # The bus ends. Or it was no scope that was cancelled but a task within the handler, which is no affair of
            # the other messages.
            await checkpoint_if_cancelled()
        finally:
            self._crew.ended()
        self._crew.rouse()

    async def _serve_in_turn(self, scope: HandlerScope, waiting: ArrivalOrder) -> None:
        crew = self._crew if self._concurrency > 1 else None
        turn = Turn(waiting, self._time, crew, scope.cancel if self._cancellable else None)
        # See Turn: whoever is cancelled is replaced.
        while not scope.cancel_scope.cancel_called:
            if not turn.left:
                turn.left = IN_A_ROW
                if turn.current is not None:
                    await checkpoint()
            turn.current = delivery = turn.next()
            if delivery is None:
                await self._rest()
                turn.left = IN_A_ROW
                continue
            try:
                await self._work(delivery, scope, None, turn)
            except BaseException:
                # Settled already, unless the work was cancelled midway.
                (turn.current or delivery).fail(Code.CANCELLED, _CANCELLED)
                raise

    async def _serve_by_key(self, scope: HandlerScope, waiting: KeyOrder) -> None:
        in_a_row = 0
        # A caller may leave when its work is as good as done; that must not hit the next one.
        while not scope.cancel_scope.cancel_called:
            if in_a_row == IN_A_ROW:
                in_a_row = 0
                await checkpoint()
            taken = waiting.take()
            if taken is None:
                in_a_row = 0
                await self._rest()
                continue
            delivery, reading = taken
            try:
                if is_worth_starting(delivery, self._time):
                    in_a_row += 1
                    await self._work_on_one(delivery, scope, reading)
            finally:
                waiting.release(reading)

    async def _work_on_one(self, delivery: Delivery, scope: HandlerScope, reading: Reading) -> None:
        self._crew.rouse()
        if self._cancellable:
            delivery.on_cancel = scope.cancel
        try:
            await self._work(delivery, scope, reading, None)
        except BaseException:
            # See above.
            delivery.fail(Code.CANCELLED, _CANCELLED)
            raise

    async def _rest(self) -> None:
        """Wait until there may be work."""
        waiter = self._crew.lie_down()
        try:
            await waiter.wait()
        finally:
            self._crew.get_up(waiter)
