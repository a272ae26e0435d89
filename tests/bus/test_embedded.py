"""How a bus gets its link."""

import anyio
import pytest

from cqrsbus.bus.embedded import OpenChannel, make_link
from cqrsbus.links.channel import Channel

pytestmark = pytest.mark.anyio


async def test_what_is_put_around_the_opening_sees_every_connection() -> None:
    opened: list[Channel] = []

    def around(opener: OpenChannel) -> OpenChannel:
        async def seen() -> Channel:
            opened.append(await opener())
            return opened[-1]

        return seen

    link = make_link("memory:", "a", "a-1", around=around)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(link.run, [])
            assert len(opened) == 1
            tasks.cancel_scope.cancel()


async def test_a_url_of_no_known_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="carrier-pigeon"):
        make_link("carrier-pigeon:", "a", "a-1")
