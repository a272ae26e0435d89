"""How long to wait before trying again."""

import random


class FullJitter:
    """Exponential back-off with full jitter, so that many clients do not come back in step.

    Each pause is drawn evenly from 0 to a bound that doubles with every attempt: "Full Jitter" in Marc Brooker,
    "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

    Args:
        base: The first bound, in seconds.
        cap: The largest bound, in seconds.
    """

    def __init__(self, base: float = 0.1, cap: float = 10.0) -> None:
        self._base = base
        self._cap = cap
        self._attempt = 0

    def reset(self) -> None:
        """Start over: an attempt succeeded."""
        self._attempt = 0

    def next_pause(self) -> float:
        """Seconds to wait before the next attempt."""
        bound = min(self._cap, self._base * 2**self._attempt)
        if bound < self._cap:
            self._attempt += 1
        return random.uniform(0, bound)
