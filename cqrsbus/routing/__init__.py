"""Who gets what: the broker's decisions, without I/O.

A :class:`~cqrsbus.routing.router.Router` takes frames and the time, and returns frames. It never waits, never
reads a clock and never fails halfway: what it returns is to be carried out in order.
"""
