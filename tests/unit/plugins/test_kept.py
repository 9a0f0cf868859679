from epp.config.document import Faults, parse_document
from epp.plugins.kept import KEPT
from epp.plugins.registry import OWN_TYPES, kinds_of


def test_what_is_kept_does_nothing() -> None:
    assert not any(kinds_of(cls) for cls, _ in KEPT.values())
    assert not any(OWN_TYPES.types[name].used for name in KEPT)


def test_parameters_are_checked_all_the_same() -> None:
    faults = Faults("f")
    node = parse_document("{scheme: gopher, insecureSkipVerfy: true, path: /stats}", faults)
    assert node is not None
    assert OWN_TYPES.types["metrics-data-source"].read(node, faults, "p") == {"path": "/stats"}
    assert [str(fault) for fault in faults.found] == [
        'f:1: p.scheme: has to be one of http, https, not "gopher"',
        'f:1: p.insecureSkipVerfy: is no field; did you mean "insecureSkipVerify"?',
    ]
