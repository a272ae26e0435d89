"""Wait to be told to stop."""

import signal
import threading

import anyio


async def until_signal() -> None:
    """Return at the first SIGINT or SIGTERM; the second one ends the process at once, as if we had not listened.

    Signals come to a process' main thread only: in any other thread this waits until it is cancelled.
    """
    if threading.current_thread() is not threading.main_thread():
        await anyio.sleep_forever()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return
