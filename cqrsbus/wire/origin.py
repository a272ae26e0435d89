"""Where numbered messages come from: what they all say of themselves, written once, and a number for each.

A message that was given no id of its own has one that ends with a number, of :data:`DIGITS` hexadecimal letters. So
whoever sends many writes their headers but for those letters only once, and messages that follow each other can be told
from one that stands for all (see batch.py).
"""

from typing import Final

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import Envelope, encode_envelope

DIGITS: Final = 12
#: How many numbers there are. At a million a second they last for eight years.
NUMBERS: Final = 16**DIGITS
_HEX: Final = "0123456789abcdef"
_PLACE: Final = "0" * DIGITS


class Origin:
    """What a sequence of messages has in common.

    Args:
        envelope: What all say of themselves; its id is what theirs begin with, in ASCII.
    """

    __slots__ = ("_after", "_before", "envelope", "header_size")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        written = encode_envelope(envelope._replace(message_id=envelope.message_id + _PLACE))
        # The id is the first field, and its beginning is as long in bytes as in letters.
        at = written.index(envelope.message_id.encode() + _PLACE.encode()) + len(envelope.message_id)
        self._before = written[:at]
        self._after = written[at + DIGITS :]
        #: Bytes of the header of each.
        self.header_size = len(written)

    def same(self, other: "Origin") -> bool:
        """Whether messages of both say the same of themselves, but for their number."""
        return self is other or (self._before == other._before and self._after == other._after)

    def header(self, number: int) -> bytes:
        """The encoded envelope of one of the messages."""
        return b"%b%012x%b" % (self._before, number, self._after)

    def envelope_of(self, number: int) -> Envelope:
        """The envelope of one of the messages."""
        return self.envelope._replace(message_id=f"{self.envelope.message_id}{number:012x}")


def number_in(message_id: str) -> int:
    """The number with which a message's id ends.

    Raises:
        ProtocolError: BAD_FRAME, it ends with none.
    """
    digits = message_id[-DIGITS:]
    if len(digits) < DIGITS or digits.strip(_HEX):
        raise ProtocolError(f"the id of a message in a batch does not end with {DIGITS} hexadecimal digits")
    return int(digits, 16)


def numbered(envelope: Envelope, further: int) -> Envelope:
    """The envelope of a message so many after one whose id ends with a number."""
    if not further:
        return envelope
    message_id = envelope.message_id
    return envelope._replace(message_id=f"{message_id[:-DIGITS]}{number_in(message_id) + further:012x}")
