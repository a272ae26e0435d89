"""The faster ways to and from msgpack, where they are installed: ``pip install 'cqrsbus[fast]'``.

They are asked for nothing but models that hold scalars, each under its own name (see plain_model.py). They write
the same bytes and read the same values as the usual ones do. Whatever they refuse is left to those, also to say why.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

#: What is read: no lists and no maps within, which could be deep, and none of msgpack's extensions.
Flat: TypeAlias = dict[str, str | int | float | bool | None]

_pack: Callable[[object], bytes] | None
try:
    # Knows dates by itself.
    from ormsgpack import packb
except ImportError:
    _pack = None
else:
    _pack = packb

_unpack: Callable[[bytes], Flat] | None
_refused: tuple[type[Exception], ...]
try:
    from msgspec import MsgspecError
    from msgspec.msgpack import Decoder
except ImportError:
    _unpack, _refused = None, ()
else:
    _unpack = Decoder(Flat).decode
    # A text that is not UTF-8 is a ValueError.
    _refused = (MsgspecError, ValueError)


def fast_packed(held: Mapping[str, object]) -> bytes | None:
    """Return the fields of a plain model as msgpack; None if that is left to the usual way.

    Args:
        held: The ``__dict__`` of an instance that fits.
    """
    # Looked up once.
    pack = _pack
    if pack is None:
        return None
    try:
        return pack(held)
    except TypeError:
        # What it cannot write it refuses so.
        return None


def fast_unpacked(body: bytes) -> Flat | None:
    """Return a map of texts, numbers and the like from msgpack; None if what it is, is left to the usual way.

    Args:
        body: Any bytes.
    """
    unpack = _unpack
    if unpack is None:
        return None
    try:
        return unpack(body)
    except _refused:
        return None
