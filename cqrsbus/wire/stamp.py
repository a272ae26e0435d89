"""The stamp: what a broker says, on its own authority, of the sender of a frame."""

from functools import lru_cache

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.header import decode_header, encode_header


def stamp_of(service: str) -> bytes:
    """Make the stamp of what a service sends."""
    return encode_header({"from": service})


def full_stamp_of(service: str, instance: str) -> bytes:
    """Make the stamp of what is sent where the instances of services are told apart."""
    return encode_header({"from": service, "instance": instance})


# Stamps are few: one for each service that this process hears from.
@lru_cache(maxsize=1024)
def sender_of(stamp: bytes) -> str:
    """Return the service that a frame came from; empty if its stamp says nothing intelligible."""
    try:
        return str(decode_header(stamp).get("from", ""))
    except ProtocolError:
        # Whoever asks does so to say where a message came from, perhaps one that is as odd as this.
        return ""


@lru_cache(maxsize=1024)
def instance_of(stamp: bytes) -> str:
    """Return the instance that a frame came from; empty if its stamp does not tell."""
    try:
        return str(decode_header(stamp).get("instance", ""))
    except ProtocolError:
        return ""
