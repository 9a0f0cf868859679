import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.gateway.eds import render_eds, write_eds
from epp.types import EndpointSpec

A = EndpointSpec("a", "10.0.0.1", 8000)
B = EndpointSpec("b", "10.0.0.2", 8000)


def hosts(text):
    (resource,) = json.loads(text)["resources"]
    (locality,) = resource["endpoints"]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in locality["lb_endpoints"]]
    return [(address["address"], address["port_value"]) for address in addresses]


def version(text):
    return json.loads(text)["version_info"]


def test_the_whole_of_it():
    assert json.loads(render_eds([A])) == {
        "version_info": version(render_eds([A])),
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": "model-servers",
                "endpoints": [
                    {
                        "lb_endpoints": [
                            {
                                "endpoint": {
                                    "address": {"socket_address": {"address": "10.0.0.1", "port_value": 8000}}
                                }
                            }
                        ]
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], []),
        ([B, A], [("10.0.0.1", 8000), ("10.0.0.2", 8000)]),
        ([A, EndpointSpec("c", "10.0.0.3", 8000, ready=False)], [("10.0.0.1", 8000)]),
        ([A, EndpointSpec("c", "server.example", 8000)], [("10.0.0.1", 8000)]),
        ([EndpointSpec("six", "fd00::1", 8000)], [("fd00::1", 8000)]),
        ([A, EndpointSpec("other name", A.host, A.port)], [("10.0.0.1", 8000)]),
    ],
)
def test_who_is_in_it(endpoints, expected):
    assert hosts(render_eds(endpoints)) == expected


@given(st.permutations([A, B, EndpointSpec("c", "10.0.0.3", 8001)]))
def test_the_order_of_the_endpoints_changes_nothing(endpoints):
    assert render_eds(endpoints) == render_eds(sorted(endpoints, key=lambda each: each.name))


def test_the_version_tells_sets_apart():
    assert len({version(render_eds(each)) for each in ([], [A], [B], [A, B])}) == 4


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "eds.json"
    texts = [render_eds([A] * 0), render_eds(EndpointSpec(str(n), f"10.0.0.{n}", 8000) for n in range(200))]
    write_eds(path, texts[0])
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(300):
        write_eds(path, texts[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(texts)
    assert [each.name for each in tmp_path.iterdir()] == ["eds.json"]
