"""What is said of dependencies: how it reads, and how replacements are kept."""

import pytest

from cqrsbus import DependencyOverrides, Depends


def real() -> str:
    return "real"


def fake() -> str:
    return "fake"


def other() -> str:
    return "other"


def test_how_it_reads() -> None:
    assert str(Depends(real)) == "Depends(real)"
    assert str(Depends(real, use_cache=False)) == "Depends(real, use_cache=False)"
    assert Depends(real) == Depends(real)


def test_overrides_are_a_mapping() -> None:
    overrides = DependencyOverrides()
    overrides[real] = fake
    overrides.update({fake: other})
    assert dict(overrides) == {real: fake, fake: other}
    assert (len(overrides), real in overrides, other in overrides) == (2, True, False)
    del overrides[real]
    assert overrides.get(real) is None
    with pytest.raises(KeyError):
        del overrides[real]
    overrides.clear()
    assert not overrides


def test_every_change_is_counted() -> None:
    overrides = DependencyOverrides()
    versions = [overrides.version]
    with overrides.scope(real, fake):
        versions.append(overrides.version)
    versions.append(overrides.version)
    assert len(set(versions)) == 3


def test_a_scope_brings_back_what_was() -> None:
    overrides = DependencyOverrides()
    with overrides.scope(real, fake):
        with overrides.scope(real, other):
            assert overrides[real] is other
        assert overrides[real] is fake
    assert real not in overrides


def test_a_scope_ends_also_when_its_block_fails() -> None:
    overrides = DependencyOverrides()

    def fail() -> None:
        with overrides.scope(real, fake):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not overrides


def test_a_scope_does_not_mind_that_its_override_was_taken_away() -> None:
    overrides = DependencyOverrides()
    with overrides.scope(real, fake):
        overrides.clear()
    assert not overrides


def test_what_can_never_be_called_is_refused() -> None:
    overrides = DependencyOverrides()
    with pytest.raises(TypeError, match="takes a function, not 5"):
        overrides[real] = 5  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]

    def needy(one: int, two: int) -> None: ...

    with pytest.raises(TypeError, match=r"needy .* nobody would pass"):
        overrides[real] = needy
    assert not overrides
