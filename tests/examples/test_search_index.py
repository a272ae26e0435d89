"""Finding mails, with SQLite's trigrams and without."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from examples.email.messages import StoredEmail
from examples.email.search_index import SearchIndex

MakeStored = Callable[..., StoredEmail]


@pytest.fixture(params=[True, False], ids=["trigrams", "reading"])
def index(request: pytest.FixtureRequest, tmp_path: Path, make_stored: MakeStored) -> Iterator[SearchIndex]:
    with SearchIndex(tmp_path / "search.db", trigrams=request.param) as index:
        index.add(
            [
                make_stored(1, "Your account statement", "the statement is attached", ("Statement.PDF",)),
                make_stored(2, "关于新账户的申请", "我们想申请一个账户"),
                make_stored(3, 'He said "no"', "100 % sure, c:\\temp_dir AND OR NOT NEAR(x) *"),
                make_stored(4, "Straße", "ACCOUNTS and 12 others"),
            ]
        )
        yield index


def found(index: SearchIndex, text: str) -> list[str]:
    return [email.message_id.strip("<>").partition("@")[0] for email in index.search(text, 10).emails]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("account", ["4", "1"]),
        ("ACCOUNT", ["4", "1"]),
        ("ccoun", ["4", "1"]),
        ("account statement", ["1"]),
        ("statement.pdf", ["1"]),
        ("账户", ["2"]),
        ("新账户", ["2"]),
        ("户", ["2"]),
        ("账户 申请", ["2"]),
        ("账户 account", []),
        ("strasse", ["4"]),
        ("\uff41\uff43\uff43\uff4f\uff55\uff4e\uff54", ["4", "1"]),
        ('"no"', ["3"]),
        ("100 %", ["3"]),
        ("_", ["3"]),
        ("c:\\temp_dir", ["3"]),
        ("near(x)", ["3"]),
        ("*", ["3"]),
        ("ada@test.example", ["4", "3", "2", "1"]),
        ("", ["4", "3", "2", "1"]),
        ("nowhere", []),
    ],
)
def test_a_mail_is_found_by_every_part_of_it(index: SearchIndex, text: str, ids: list[str]) -> None:
    assert found(index, text) == ids


def test_all_are_counted_and_the_newest_returned(index: SearchIndex) -> None:
    answer = index.search("", 2)

    assert answer.total == 4
    assert [email.subject for email in answer.emails] == ["Straße", 'He said "no"']


def test_adding_again_changes_nothing(index: SearchIndex, make_stored: MakeStored) -> None:
    index.add([make_stored(1, "another account"), make_stored(5, "new account")])

    assert found(index, "account") == ["5", "4", "1"]
    assert found(index, "another") == []
    assert index.position() == 5


def test_it_remembers_when_opened_again(tmp_path: Path, make_stored: MakeStored) -> None:
    with SearchIndex(tmp_path / "search.db") as index:
        assert index.position() == 0
        index.add([make_stored(1, "账户"), make_stored(2, "账单")])

    with SearchIndex(tmp_path / "search.db") as index:
        assert index.position() == 2
        assert found(index, "账") == ["2", "1"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=12))
@example(text="a\0b")
def test_no_question_breaks_it(index: SearchIndex, text: str) -> None:
    assert index.search(text, 3).total <= 4


FEW = st.text(st.sampled_from('aAbß账户 é\u0301İ"%_*\0🚢'), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(FEW, max_size=4), question=FEW)
@example(texts=["ab账户"], question="b账户")
def test_trigrams_find_what_reading_finds(make_stored: MakeStored, texts: list[str], question: str) -> None:
    mails = [make_stored(number, text=text) for number, text in enumerate(texts, start=1)]
    with SearchIndex(Path(":memory:")) as quick, SearchIndex(Path(":memory:"), trigrams=False) as thorough:
        if not quick.has_trigrams:
            pytest.skip("this SQLite has no trigrams")
        quick.add(mails)
        thorough.add(mails)

        assert quick.search(question, 10) == thorough.search(question, 10)
