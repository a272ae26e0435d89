"""What a reader sees of an HTML mail."""

import pytest

from examples.email.plain_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("just text", "just text"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<b>b</b>old", "bold"),
        ("a\nb", "a b"),
        ("<p>fish &amp; chips&nbsp;&#8364;</p>", "fish & chips €"),
        ("<head><title>t</title><style>p {}</style></head><p>seen</p>", "seen"),
        ("<script>if (1 < 2) alert('<p>no</p>')</script>seen", "seen"),
        ("</style>still seen", "still seen"),
        ("<p>never closed", "never closed"),
        ("<!-- hidden -->账户", "账户"),
    ],
)
def test_text_of_html(html: str, text: str) -> None:
    assert plain_text(html) == text
