"""The headers by which a chain of messages is traced, as W3C Trace Context and W3C Baggage name them.

What a handler sends carries the ones of its own message on, letter by letter, unless the call gives its own:

1. ``tracestate`` belongs to its ``traceparent``. A call with a traceparent of its own takes over neither.
2. ``baggage`` stands by itself.
3. A message's header is bounded, and a sender's baggage must not keep its receiver from calling others: what does not
   fit into :data:`MOST_BYTES`, in the order above, stays behind.
"""

from collections.abc import Mapping
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"

#: Half of a header's usual limit: the other half is for the call's own.
MOST_BYTES: Final = 4096


def carry_on(received: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """Return a call's own headers with the trace of the message that is being handled.

    Args:
        received: The headers of that message.
        own: What the call was given.
    """
    if not received:
        return own
    names = (BAGGAGE,) if TRACEPARENT in own else (TRACEPARENT, TRACESTATE, BAGGAGE)
    carried: dict[str, str] = {}
    room = MOST_BYTES
    for name in names:
        value = received.get(name)
        if value is not None and name not in own and (size := len(value.encode())) <= room:
            carried[name] = value
            room -= size
    return {**carried, **own} if carried else own
