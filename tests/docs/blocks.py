"""The fenced blocks of the documentation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "examples" / "guide"

#: Every page that people read. The protocol's own tests look after its examples.
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "protocol.md"})

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_INCLUSION = re.compile(r'--8<-- "(?P<path>[^"]+)"\n')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: The page it is on, from the root.
        line: Where it begins.
        language: What follows the backquotes.
        text: What is between the fences.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def included(self) -> Path | None:
        """The file that it shows, if it is nothing but an inclusion."""
        found = _INCLUSION.fullmatch(self.text)
        return ROOT / found["path"] if found else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    source = page.read_text("utf-8")
    for found in _FENCE.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        yield Block(page.relative_to(ROOT).as_posix(), line, found["language"], found["text"])


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
