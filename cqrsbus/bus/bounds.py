"""Refuses a msgpack body whose arrays declare more items than it can hold, before anything is allocated for them.

The unpacker reserves room for as many items as an array declares, and only then looks for them. One array is held
to the length of the body; but a thousand of them, each inside the other, would reserve a thousand times that. In an
honest body every item takes a byte, so all declared lengths together are at most its length.

Adding up every place that looks like an array's head takes one fast scan, and most often settles it. Text and bytes
may hold such places by chance, so a body that seems to declare too much is walked head by head.
"""

import re
from typing import Final

from cqrsbus.errors import InvalidMessageError

_HEADS: Final = re.compile(rb"(?=\xdc(..)|\xdd(....))", re.DOTALL)
#: Seeming items for each byte of the body, and in a small body altogether, that cost nothing worth a walk.
_ALLOWANCE: Final = 4
_SMALL: Final = 4_096
#: Seeming heads after which a walk is the shorter way.
_MANY: Final = 2_000

#: For each first byte of fixed meaning: how many bytes follow that are not items.
_FIXED_SIZES: Final = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
#: For those that declare a length: in how many bytes, and how many more follow besides.
_LENGTHS: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
#: For arrays and maps: in how many bytes they declare their length, and how many values an item has.
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def check_declared_lengths(body: bytes) -> None:
    """Raise InvalidMessageError if the arrays in a body declare more than it can hold.

    Args:
        body: The bytes of a msgpack body, which may be anything.
    """
    # A number is looked for ten times as fast as a byte string of length one.
    if 0xDC not in body and 0xDD not in body:
        return
    most = max(_ALLOWANCE * len(body), _SMALL)
    seeming = 0
    for looked_at, head in enumerate(_HEADS.finditer(body)):
        declared = int.from_bytes(head[1] or head[2], "big")
        if declared <= len(body):
            seeming += declared
        if seeming > most or looked_at > _MANY:
            _walk(body)
            return


def _walk(body: bytes) -> None:
    size, position, declared = len(body), 0, 0
    while position < size:
        first = body[position]
        position += 1
        if first in _CONTAINERS:
            width, values = _CONTAINERS[first]
            declared += values * int.from_bytes(body[position : position + width], "big")
            position += width
        elif first in _LENGTHS:
            width, more = _LENGTHS[first]
            position += int.from_bytes(body[position : position + width], "big") + width + more
        elif 0xA0 <= first <= 0xBF:
            position += first & 0x1F
        else:
            position += _FIXED_SIZES.get(first, 0)
        if declared > size:
            raise InvalidMessageError("the body is not msgpack: it declares more items than it has bytes")
