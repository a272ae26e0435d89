"""Every form of constructor: taken apart, checked, and put together again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.error_fields import ErrorFields, FieldsError, error_fields
from cqrsbus.errors import InvalidMessageError, PayloadTooLargeError, ProtocolError, QueueFullError

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class Owner(BaseModel):
    name: str


class Plain(Exception):
    pass


class Locked(Exception):
    def __init__(self, folder: str, by: Owner | None = None, *, until: datetime = WHEN) -> None:
        super().__init__(f"{folder} is locked")
        self.folder = folder
        self.by = by
        self.until = until


class Inherited(Locked):
    pass


class Unannotated(Exception):
    def __init__(self, folder, tags=()):  # type: ignore[no-untyped-def]
        self.folder, self.tags = folder, tags


class PositionalOnly(Exception):
    def __init__(self, low: int, high: int = 9, /, *, step: int = 1) -> None:
        super().__init__(low)
        self.low, self.high, self.step = low, high, step


class OnlyArgs(Exception):
    def __init__(self, *args: object, code: int = 0) -> None:
        super().__init__(*args)
        self.code = code


class FolderAndArgs(Exception):
    def __init__(self, folder: str, *args: object) -> None:
        super().__init__(folder, *args)
        self.folder = folder


class FolderAndOwnArgs(Exception):
    def __init__(self, folder: str, *args: object) -> None:
        super().__init__(*args)
        self.folder = folder


class Details(Exception):
    def __init__(self, *steps: int, **labels: str) -> None:
        self.steps, self.labels = steps, labels


class Forgetful(Exception):
    def __init__(self, *steps: int, **labels: str) -> None:
        super().__init__("all forgotten")


class Sealed(Exception):
    def __init__(self, key: bytes) -> None:
        self.key = key


class Property(Exception):
    def __init__(self, folder: str) -> None:
        self._folder = folder

    @property
    def folder(self) -> str:
        return self._folder


@dataclass
class Data(Exception):
    folder: str
    tags: list[str] = field(default_factory=list[str])
    shout: str = field(init=False)

    def __post_init__(self) -> None:
        self.shout = self.folder.upper()


@dataclass(frozen=True, kw_only=True)
class Frozen(Exception):
    folder: str


def crossed(error: Exception, codec: Codec = MSGPACK) -> Exception:
    fields = error_fields(type(error))  # type: ignore[arg-type]
    return fields.make(codec.decode(codec.encode(fields.take(error)), fields.type))


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=lambda codec: codec.name)
@pytest.mark.parametrize(
    "error",
    [
        Plain(),
        Plain("folder", 7, None),
        KeyError("k"),
        LookupError("nothing", {"a": [1]}),
        OSError(2, "no such file"),
        Locked("inbox"),
        Locked("inbox", Owner(name="bob"), until=datetime(2027, 1, 1, tzinfo=UTC)),
        Inherited("inbox", by=Owner(name="eve")),
        Unannotated("inbox", ["a", 1]),
        PositionalOnly(1),
        PositionalOnly(1, 2, step=3),
        OnlyArgs("a", 2, code=3),
        OnlyArgs(),
        FolderAndArgs("inbox"),
        FolderAndArgs("inbox", 1, 2),
        FolderAndOwnArgs("inbox", 1, 2),
        FolderAndOwnArgs("inbox"),
        Details(1, 2, a="b"),
        Details(),
        Property("inbox"),
        Sealed(b"\xff\x00"),
        Data("inbox", ["a"]),
        Frozen(folder="inbox"),
        QueueFullError("7 wait", topic="a.b"),
        ProtocolError("odd"),
        InvalidMessageError("wrong", entries=[{"loc": ["a"], "msg": "m", "type": "t"}]),
    ],
    ids=repr,
)
def test_what_was_raised_comes_back(error: Exception, codec: Codec) -> None:
    back = crossed(error, codec)
    assert type(back) is type(error)
    assert (back.args, str(back)) == (error.args, str(error))
    assert vars(back) == vars(error)


def test_what_is_not_declared_comes_back_as_plain_values() -> None:
    assert vars(crossed(Unannotated(WHEN, tags=(1, 2)))) == {"folder": "2026-01-02T03:04:00+00:00", "tags": [1, 2]}


def test_an_attribute_that_is_missing_has_its_default_again() -> None:
    assert crossed(Forgetful(1, 2, a="b")).args == ("all forgotten",)
    changed = Locked("inbox")
    del changed.by
    assert vars(crossed(changed)) == vars(Locked("inbox"))


def test_a_newer_class_may_have_more_fields() -> None:
    fields = error_fields(Locked)
    assert fields.type.validate({"folder": "inbox", "since": 7}) == {"folder": "inbox"}


@pytest.mark.parametrize("tree", [{}, {"folder": 7}, {"folder": "a", "by": {"name": 1}}, [], None, {"folder": None}])
def test_fields_are_checked_against_their_annotations(tree: Any) -> None:
    with pytest.raises(InvalidMessageError):
        error_fields(Locked).type.validate(tree)


class Fickle(Exception):
    def __init__(self, folder: str) -> None:
        if folder != "inbox":
            self.folder = folder


class Raising(Exception):
    def __init__(self, folder: str) -> None:
        pass

    @property
    def folder(self) -> str:
        raise LookupError


@pytest.mark.parametrize(
    ("error", "said"),
    [(Fickle("inbox"), r"set self\.folder"), (Raising("inbox"), "'folder' raises LookupError")],
    ids=["fickle", "raising"],
)
def test_an_exception_that_does_not_tell(error: Exception, said: str) -> None:
    with pytest.raises(FieldsError, match=said):
        error_fields(type(error)).take(error)  # type: ignore[arg-type]


class Picky(Exception):
    def __init__(self, number: int) -> None:
        if number < 0:
            raise ValueError("secret")
        self.number = number


class Changeling(Exception):
    def __new__(cls, *args: object) -> Any:
        return 7


@pytest.mark.parametrize(
    ("cls", "fields", "said"),
    [
        (Picky, {"number": -1}, "raised ValueError"),
        (Changeling, {}, "made a int"),
        (Details, {"labels": {"self": "x"}}, "raised TypeError"),
    ],
)
def test_a_constructor_that_does_not_take_them(cls: type[Exception], fields: Mapping[str, Any], said: str) -> None:
    with pytest.raises(FieldsError, match=said):
        ErrorFields(cls).make(fields)


class Lock:
    pass


def opaque() -> type[Exception]:
    class Opaque(Exception):
        def __init__(self, lock: Lock) -> None:
            self.lock = lock

    return Opaque


def unresolved() -> type[Exception]:
    class Unresolved(Exception):
        def __init__(self, lock: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
            self.lock = lock

    return Unresolved


def ambiguous() -> type[Exception]:
    class Ambiguous(Exception):
        def __init__(self, when: datetime | str) -> None:
            self.when = when

    return Ambiguous


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (opaque, "cannot be carried"),
        (unresolved, "'Nowhere' of 'lock' cannot be resolved"),
        (ambiguous, "cannot be carried"),
    ],
)
def test_a_constructor_that_cannot_be_served(make: Callable[[], type[Exception]], said: str) -> None:
    with pytest.raises(FieldsError, match=said):
        ErrorFields(make())


class Silent(Exception):
    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is locked")


class SilentByDefault(ValueError):
    def __init__(self, folder: str = "inbox") -> None:
        ValueError.__init__(self, folder)


class SilentBelow(Silent):
    def __init__(self, folder: str, user: str) -> None:
        super().__init__(folder)


@pytest.mark.parametrize("cls", [Silent, SilentByDefault, SilentBelow])
def test_a_constructor_that_keeps_nothing(cls: type[Exception]) -> None:
    with pytest.raises(FieldsError, match=r"takes 'folder', and it has no such attribute: set self\.folder"):
        ErrorFields(cls)


class Elsewhere(Exception):
    def __init__(self, folder: str) -> None:
        vars(self).update(folder=folder)


class Within(Exception):
    def __init__(self, folder: str) -> None:
        def keep() -> None:
            vars(self)["folder"] = folder

        keep()


class Dynamic(Silent):
    def __getattr__(self, name: str) -> str:
        return str(self.args[0]).split()[0]


class Above(Silent):
    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(folder)


class Slotted(Silent):
    folder = "inbox"


@pytest.mark.parametrize("cls", [Elsewhere, Within, Dynamic, Above, Slotted])
def test_one_that_may_keep_it_in_another_way(cls: type[Exception]) -> None:
    assert vars(crossed(cls("inbox"))) == vars(cls("inbox"))


def test_a_class_is_looked_at_once() -> None:
    assert error_fields(PayloadTooLargeError) is error_fields(PayloadTooLargeError)
