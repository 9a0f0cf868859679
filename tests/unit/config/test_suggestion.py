import pytest

from epp.config.suggestion import did_you_mean, mistyped, nearest

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


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("blocksize", "blockSize"),
        ("block_size", "blockSize"),
        ("block-Sise", "blockSize"),
        ("bockSizes", "blockSize"),
        ("hashBlockSize", None),
        ("maxPrefixTokensToMatch", None),
        ("maxPrefixBlockToMatch", "maxPrefixBlocksToMatch"),
        ("mood", None),
        ("model", "mode"),
        ("moral", None),
        ("ab", None),
    ],
)
def test_a_mistyped_name_is_very_near_to_a_known_one(word: str, name: str | None) -> None:
    assert mistyped(word, ["blockSize", "maxPrefixBlocksToMatch", "mode", "aa"]) == name
