from epp.sim.adapters import AdapterSlots


def test_the_base_model_needs_no_slot() -> None:
    slots = AdapterSlots(0)
    assert slots.can_take("")
    assert not slots.take("")
    slots.give_back("")
    assert not slots.can_take("a")


def test_an_adapter_is_loaded_once_and_stays() -> None:
    slots = AdapterSlots(2)
    assert slots.take("a")
    assert not slots.take("a")
    slots.give_back("a")
    slots.give_back("a")
    assert slots.resident == ("a",)
    assert not slots.take("a")


def test_an_adapter_that_runs_keeps_its_slot() -> None:
    slots = AdapterSlots(2)
    slots.take("a")
    slots.take("b")
    assert not slots.can_take("c")
    assert slots.can_take("a")

    slots.give_back("b")
    assert slots.can_take("c")
    assert slots.take("c")
    assert slots.resident == ("a", "c")


def test_among_idle_adapters_the_least_recently_used_goes() -> None:
    slots = AdapterSlots(2)
    for name in ("a", "b", "a"):
        slots.take(name)
        slots.give_back(name)
    slots.take("c")
    assert slots.resident == ("a", "c")
