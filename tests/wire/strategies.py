"""Frames that may be, for properties."""

from hypothesis import strategies as st

from cqrsbus.wire.connection import RECEIVES, Role, State
from cqrsbus.wire.frames import KNOWN_FLAGS, MAX_U16, MAX_U32, Frame, Kind

U64 = st.integers(0, 2**64 - 1)
ANY_KIND: st.SearchStrategy[int] = st.sampled_from(list(Kind))
#: A body that is larger than one portion now and then.
BODIES = st.binary(max_size=64) | st.integers(0, 5000).map(bytes)


@st.composite
def frames(draw: st.DrawFn, kinds: st.SearchStrategy[int] = ANY_KIND, *, stamped: bool = True) -> Frame:
    """Frames of any kind, with the flags that it knows."""
    kind = draw(kinds)
    topic, header, body = draw(st.binary(max_size=20)), draw(st.binary(max_size=40)), draw(BODIES)
    return Frame(
        kind,
        flags=draw(st.integers(0, 0xFF)) & KNOWN_FLAGS[kind],
        detail=draw(st.integers(0, MAX_U16)),
        channel=draw(st.integers(0, MAX_U32)),
        id=draw(U64),
        ttl=draw(st.integers(0, MAX_U32)),
        stamp=draw(st.binary(max_size=20)) if stamped else b"",
        tail=topic + header + body,
        topic_size=len(topic),
        header_size=len(header),
    )


def kinds_received(role: Role) -> list[int]:
    """What an open connection takes and stays open."""
    return [kind for kind, state in RECEIVES[role, State.OPEN].items() if state is State.OPEN]


@st.composite
def portions(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes as a network might hand them over."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
