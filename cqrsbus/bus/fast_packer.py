"""The packer that knows dates by itself, where it is installed: ``pip install 'cqrsbus[fast]'``.

It is given nothing but the fields of models that are written as their instances hold them (see plain_model.py), and
writes of those the same bytes as the other one does.
"""

from collections.abc import Callable, Mapping

_pack: Callable[[object], bytes] | None
try:
    from ormsgpack import packb
except ImportError:
    _pack = None
else:
    _pack = packb


def fast_packed(held: Mapping[str, object]) -> bytes | None:
    """Return the fields of a plain model as msgpack; None if the other packer is to do it, or to say why it cannot.

    Args:
        held: The ``__dict__`` of an instance that fits.
    """
    if _pack is None:
        return None
    try:
        return _pack(held)
    except TypeError:
        # What it cannot write it refuses so.
        return None
