"""Protocol v1 without I/O: bytes in, frames out, and which frame is allowed when.

Nothing here knows of sockets, clocks, tasks or pydantic; docs/protocol.md is the specification.
"""
