import asyncio
import socket

import pytest

from epp.sources import resolve
from epp.sources.resolve import Addresses, resolve_host


class Names:
    """A resolver whose answers are set by hand; a host without one has no address."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.answers[host]


async def test_the_systems_resolver_knows_this_machine() -> None:
    assert "127.0.0.1" in await resolve_host("localhost")
    assert await resolve_host("127.0.0.1") == ["127.0.0.1"]
    assert await resolve_host("::1") == ["::1"]


async def test_ipv4_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.2", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    assert await resolve_host("gpu") == ["10.0.0.2", "10.0.0.1", "2001:db8::1"]


async def test_a_host_keeps_its_address_while_it_is_one_of_its_own() -> None:
    names = Names(gpu=["10.0.0.1", "10.0.0.2"])
    addresses = Addresses(names)
    assert addresses.get("gpu") is None

    await addresses.update({"gpu"})
    assert addresses.get("gpu") == "10.0.0.1"

    names.answers["gpu"] = ["10.0.0.2", "10.0.0.1"]  # turned, as name servers do
    await addresses.update({"gpu"})
    assert addresses.get("gpu") == "10.0.0.1"

    names.answers["gpu"] = ["10.0.0.2"]
    await addresses.update({"gpu"})
    assert addresses.get("gpu") == "10.0.0.2"


async def test_a_failing_host_keeps_its_address_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    names = Names(gpu=["10.0.0.1"])
    addresses = Addresses(names)
    await addresses.update({"gpu", "none"})
    assert (addresses.get("gpu"), addresses.get("none")) == ("10.0.0.1", None)

    del names.answers["gpu"]
    await addresses.update({"gpu", "none"})
    await addresses.update({"gpu", "none"})
    assert addresses.get("gpu") == "10.0.0.1"
    assert repr(addresses) == "<Addresses known={'gpu': '10.0.0.1'} failing=['gpu', 'none']>"

    names.answers["gpu"] = ["10.0.0.3"]
    await addresses.update({"gpu", "none"})
    assert addresses.get("gpu") == "10.0.0.3"
    assert caplog.messages == [
        "host none has no address: [Errno -2] Name or service not known",
        "host gpu has no address: [Errno -2] Name or service not known",
        "host gpu has an address again",
    ]


async def test_hosts_that_nobody_names_any_more_are_forgotten() -> None:
    addresses = Addresses(Names(a=["10.0.0.1"], b=["10.0.0.2"]))
    await addresses.update({"a", "b"})
    await addresses.update({"b"})
    assert (addresses.get("a"), addresses.get("b")) == (None, "10.0.0.2")


async def test_a_look_up_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def resolve_nothing(host: str) -> list[str]:
        if host == "slow":
            await asyncio.Event().wait()
        return ["10.0.0.1"]

    monkeypatch.setattr(resolve, "LOOKUP_TIMEOUT", 0.01)
    addresses = Addresses(resolve_nothing)
    await addresses.update({"slow", "fast"})
    assert (addresses.get("slow"), addresses.get("fast")) == (None, "10.0.0.1")
    assert caplog.messages == ["host slow has no address: no answer in time"]
