import pytest

from epp.config.suggestion import did_you_mean, nearest

KNOWN = ("grpc-port", "grpc-health-port", "targetPorts")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("grpc-prot", "grpc-port"),
        ("grpchealthport", "grpc-health-port"),
        ("GRPC-PORT", "grpc-port"),
        ("target_ports", "targetPorts"),
        ("zzz", None),
        ("", None),
    ],
)
def test_finds_what_is_most_like_it(word: str, name: str | None) -> None:
    assert nearest(word, KNOWN) == name


def test_asks_only_if_there_is_something_to_ask() -> None:
    assert did_you_mean("targetPort", KNOWN) == '; did you mean "targetPorts"?'
    assert did_you_mean("zzz", KNOWN) == ""
    assert did_you_mean("anything", ()) == ""
