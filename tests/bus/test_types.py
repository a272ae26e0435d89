"""Compiled types: cached, honest about what they cannot take, and silent about what they were given."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.types import MAX_ENTRIES, message_type
from cqrsbus.errors import InvalidMessageError

SECRET = "hunter2-" * 5
CODECS = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Account(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    code: str = Field(default="", max_length=3, pattern="^[a-z]+$")
    choice: Literal["a", "b"] = "a"


class NotAType:
    pass


def test_a_type_is_compiled_once() -> None:
    assert message_type(Account) is message_type(Account)
    assert message_type(list[int]) is message_type(list[int])
    assert message_type(int | str) is message_type(int | str)
    assert message_type(Account).name == "Account"


def test_a_type_that_cannot_be_hashed_is_compiled_all_the_same() -> None:
    declared = Annotated[int, Field(json_schema_extra={"x": 1}), {"not": "hashable"}]
    assert message_type(declared).validate(1) == 1


@pytest.mark.parametrize(
    ("declared", "says"), [(NotAType, "NotAType cannot be a message"), ("NoSuchName", "NoSuchName cannot be a message")]
)
def test_what_pydantic_does_not_know_is_refused(declared: Any, says: str) -> None:
    with pytest.raises(InvalidMessageError, match=says):
        message_type(declared)


@CODECS
@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({"number": SECRET}, ["number"], "int_parsing"),
        ({}, ["number"], "missing"),
        ({"number": 1, "pet": {"kind": SECRET}}, ["pet"], "union_tag_invalid"),
        ({"number": 1, "code": SECRET}, ["code"], "string_too_long"),
        ({"number": 1, "choice": SECRET}, ["choice"], "literal_error"),
        ({"number": 1, "more": SECRET}, ["more"], "extra_forbidden"),
        ([SECRET], [], "model_type"),
        (SECRET, [], "model_type"),
    ],
)
def test_a_misfit_says_where_and_never_what(codec: Codec, body: object, loc: list[str], kind: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        codec.decode(codec.encode(body), message_type(Account))
    (entry,) = caught.value.entries
    assert entry.keys() == {"loc", "msg", "type"}
    assert entry["loc"] == loc
    assert entry["type"] == kind
    assert caught.value.__cause__ is None
    assert SECRET[:7] not in f"{caught.value} {caught.value.entries!r}"
    assert SECRET[:7] not in "".join(traceback.format_exception(caught.value)), "nor does a log of it"


@CODECS
@pytest.mark.parametrize(("count", "listed"), [(19, 19), (500, MAX_ENTRIES), (50_000, 0)])
def test_a_misfit_lists_at_most_twenty_findings(codec: Codec, count: int, listed: int) -> None:
    with pytest.raises(InvalidMessageError, match=f"{count} findings") as caught:
        codec.decode(codec.encode(["x"] * count), message_type(list[int]))
    assert len(caught.value.entries) == listed


@CODECS
def test_a_misfit_stays_small(codec: Codec) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        codec.decode(codec.encode({"number": 1, "k" * 100_000: 2}), message_type(Account))
    assert len(str(caught.value)) < 1_000
    assert len(repr(caught.value.entries)) < 1_000


@CODECS
def test_entries_are_plain_enough_to_travel(codec: Codec) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        codec.decode(codec.encode({"number": "x"}), message_type(Account))
    entries: Sequence[Any] = caught.value.entries
    assert codec.decode(codec.encode(entries), message_type(list[dict[str, Any]])) == list(entries)


class Note(BaseModel):
    text: str = ""
    number: int = 0


class TestAllAtOnce:
    def test_is_as_one_by_one(self) -> None:
        trees: list[dict[str, Any]] = [{"text": "a"}, {}, {"number": "3"}]
        assert message_type(Note).validate_all(trees) == [Note(text="a"), Note(), Note(number=3)]
        assert message_type(Note).validate_all([]) == []

    @pytest.mark.parametrize("misfit", [{"number": "x"}, None, 3, [{}]])
    def test_is_refused_if_one_does_not_fit(self, misfit: object) -> None:
        for trees in ([misfit, {}], [{}, misfit]):
            assert message_type(Note).validate_all(trees) is None

    def test_is_not_for_what_somebody_would_notice(self) -> None:
        seen: list[int] = []

        class Looking(Note):
            @field_validator("number")
            @classmethod
            def look(cls, number: int) -> int:
                seen.append(number)
                return number

        class Renamed(BaseModel):
            from_: str = Field(alias="from")

        class Exact(Note):
            model_config = ConfigDict(strict=True)

        assert message_type(Looking).validate_all([{"number": 1}]) is None
        assert seen == []
        assert message_type(Renamed).validate_all([{"from": "a"}]) is None
        assert message_type(Exact).validate_all([{"number": 1}]) is None

    def test_is_given_up_whatever_goes_wrong(self) -> None:
        class Cursed(Note):
            pass

        def fail(trees: object) -> list[Any]:
            raise RecursionError

        into = message_type(Cursed)
        into._validate_all = fail
        assert into.validate_all([{}]) is None

    def test_is_not_for_who_watches_validators(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Watched(Note):
            pass

        into = message_type(Watched)
        monkeypatch.setattr("cqrsbus.bus.types.SchemaValidator", type(None))
        assert into.validate_all([{}]) is None


def test_a_field_that_could_not_be_read_back_is_refused() -> None:
    class Lopsided(BaseModel):
        name: str = Field(serialization_alias="out", validation_alias="in")

    with pytest.raises(InvalidMessageError, match="name is written as 'out' and read under another alias"):
        message_type(Lopsided)


def test_a_key_that_nothing_on_the_wire_can_be_is_refused() -> None:
    with pytest.raises(InvalidMessageError, match="has tuple as a key"):
        message_type(dict[tuple[int, int], str])


@CODECS
def test_a_strict_model_does_not_coerce(codec: Codec) -> None:
    class Exact(BaseModel):
        model_config = ConfigDict(strict=True)
        number: int

    with pytest.raises(InvalidMessageError):
        codec.decode(codec.encode({"number": "1"}), message_type(Exact))
    assert codec.decode(codec.encode({"number": 1}), message_type(Exact)) == Exact(number=1)


def test_a_strict_type_refuses_what_is_nested_beyond_measure() -> None:
    class Exact(BaseModel):
        model_config = ConfigDict(strict=True)
        tree: list[Any]

    with pytest.raises(InvalidMessageError):
        MSGPACK.decode(b"\x81\xa4tree" + b"\x91" * 1_000 + b"\x01", message_type(Exact))


@CODECS
def test_a_field_is_read_by_its_name_as_by_its_alias(codec: Codec) -> None:
    class Renamed(BaseModel):
        from_: str = Field(alias="from")

    for sent in ({"from": "a"}, {"from_": "a"}):
        assert codec.decode(codec.encode(sent), message_type(Renamed)).from_ == "a"


@CODECS
@pytest.mark.parametrize("strict", [False, True])
def test_a_validator_that_fails_in_a_way_of_its_own_is_no_more_than_a_misfit(codec: Codec, strict: bool) -> None:
    class Fragile(BaseModel):
        model_config = ConfigDict(strict=strict)
        number: int

        @field_validator("number")
        @classmethod
        def look_up(cls, number: int) -> int:
            return dict[int, int]()[number]

    with pytest.raises(InvalidMessageError, match="checked against Fragile: KeyError was raised") as caught:
        codec.decode(codec.encode({"number": 12345}), message_type(Fragile))
    assert isinstance(caught.value.__cause__, KeyError)
    assert "12345" not in caught.value.reason


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes any TypedDict from Python 3.12 on")
def test_an_old_typed_dict_is_refused_with_the_reason_of_pydantic() -> None:
    class Old(TypedDict):
        x: int

    with pytest.raises(InvalidMessageError, match=r"typing_extensions\.TypedDict"):
        message_type(Old)
