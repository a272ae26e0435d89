"""What waits for open calls: the task that lets their time pass, and callers who need a place for one."""

from cqrsbus.links.calls import OpenCalls


async def let_time_pass(calls: OpenCalls) -> None:
    """End calls when their time is up; it runs as long as the link."""
    while True:
        await calls.alarm.sleep_until(calls.next_deadline)
        calls.expire()


async def wait_place(calls: OpenCalls) -> None:
    """Wait until one more call may be open: first come, first served. Who then opens none must offer the place."""
    while calls.is_full:
        place = calls.queue_for_place()
        try:
            await place.wait()
        except BaseException:
            calls.leave_place(place)
            raise
        calls.take_place(place)
