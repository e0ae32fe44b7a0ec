"""`granian.loops`: the registry of event loops."""

import asyncio

import pytest

import granian
from granian._loops import BuilderRegistry, Registry, close_active_loop, loops


@pytest.fixture
def closing():
    """Closes the loops it is given, and leaves none behind."""
    made = []
    yield made.append
    for loop in made:
        loop.close()
    asyncio.set_event_loop(None)


def test_the_packages_loops_are_this_registry():
    assert granian.loops is loops
    assert isinstance(loops, BuilderRegistry)
    assert isinstance(loops, Registry)


def test_asyncio(closing):
    loop = loops.get("asyncio")
    closing(loop)
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert not loop.is_closed()
    closing(loops.get("auto"))


def test_built_loops_are_the_current_ones(closing):
    loop = loops.get("asyncio")
    closing(loop)
    assert asyncio.get_event_loop() is loop


def test_keys():
    assert "auto" in loops
    assert {"auto", "asyncio"} <= set(loops.keys())
    assert "nonsense" not in loops


def test_unknown():
    with pytest.raises(RuntimeError, match=r"^'nonsense' implementation not available\.$"):
        loops.get("nonsense")


def test_own_builders():
    registry = BuilderRegistry()

    @registry.register("plain")
    def plain():
        return "plain"

    @registry.register("with", packages=["json"])
    def with_package(json):
        return json.dumps([1])

    @registry.register("without", packages=["no_such_package_anywhere"])
    def without(no_such_package_anywhere):
        raise AssertionError

    assert plain() == registry.get("plain") == "plain"
    assert registry.get("with") == "[1]"
    assert "without" not in registry
    assert list(registry.keys()) == ["plain", "with"]


def test_the_last_registration_counts():
    registry = BuilderRegistry()
    registry.register("auto")(lambda: 1)
    registry.register("auto")(lambda: 2)
    assert registry.get("auto") == 2


def test_auto_takes_the_first_that_is_there(monkeypatch, closing):
    loop = asyncio.new_event_loop()
    closing(loop)
    monkeypatch.setattr(loops, "_items", dict(loops._items))
    loops.register("rloop")(lambda: loop)
    assert loops.get("auto") is loop


def test_close_active_loop():
    loop = loops.get("asyncio")
    close_active_loop(loop)
    assert loop.is_closed()
    close_active_loop(loop)


def test_plain_registry():
    registry = Registry()
    registry.register("key")("value")
    assert registry.get("key") == "value"
    with pytest.raises(RuntimeError):
        registry.get("other")


@pytest.mark.parametrize("key", ["rloop", "uvloop"])
def test_loops_of_others(key, closing):
    if key not in loops:
        pytest.skip(f"{key} is not installed")
    loop = loops.get(key)
    closing(loop)
    assert type(loop).__module__.startswith(key)
    assert asyncio.get_event_loop() is loop
