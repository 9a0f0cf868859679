from pathlib import Path

import pytest

from epp.config.pool_file import load_pool_file
from epp.errors import ConfigError
from epp.types import EndpointSpec, Objective, PoolSpec, Rewrite, RewriteTarget, Snapshot

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "pool.yaml"


def load(text: str) -> Snapshot:
    return load_pool_file(text, "pool.yaml")


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return [str(fault) for fault in caught.value.faults]


def test_the_example_reads_as_its_comments_say() -> None:
    assert load(EXAMPLE.read_text()) == Snapshot(
        pool=PoolSpec("vllm-llama3-8b-instruct", "default", (8000,)),
        endpoints=(
            EndpointSpec("gpu-a", "10.0.0.1", 8000, {"zone": "a"}),
            EndpointSpec("gpu-b", "2001:db8::1", 8001),
            EndpointSpec("gpu-c", "gpu-c.example.internal", 8000, engine="sglang"),
        ),
        objectives=(Objective("food-review", 1), Objective("batch", -1)),
        rewrites=(
            Rewrite(
                "food-review-canary",
                ("food-review",),
                (RewriteTarget("food-review-1", 90), RewriteTarget("food-review-2", 10)),
            ),
        ),
    )


def test_a_pool_alone_is_a_pool_without_endpoints() -> None:
    assert load("pool: {name: p}") == Snapshot(pool=PoolSpec("p", "default", (8000,)))


def test_the_namespace_of_the_file_goes_before_the_one_given() -> None:
    assert load_pool_file("pool: {name: p}", "f", namespace="team").pool == PoolSpec("p", "team")
    assert load_pool_file("pool: {name: p, namespace: own}", "f", namespace="team").pool == PoolSpec(
        "p", "own"
    )


def test_an_endpoint_without_a_port_has_all_target_ports() -> None:
    found = load("""\
pool: {name: p, targetPorts: [8000, 8001]}
endpoints:
- {name: a, address: 10.0.0.1}
- {address: "::1"}
- {name: c, address: 10.0.0.1, port: 9000}
""")
    assert [(spec.name, spec.address) for spec in found.endpoints] == [
        ("a-rank-0", "10.0.0.1:8000"),
        ("a-rank-1", "10.0.0.1:8001"),
        ("[::1]:8000", "[::1]:8000"),
        ("[::1]:8001", "[::1]:8001"),
        ("c", "10.0.0.1:9000"),
    ]


@pytest.mark.parametrize(
    ("fields", "engine"),
    [
        ("", "vllm"),
        (", engine: trtllm-serve", "trtllm-serve"),
        (", labels: {inference.networking.k8s.io/engine-type: triton-tensorrt-llm}", "triton-tensorrt-llm"),
        (", engine: sglang, labels: {inference.networking.k8s.io/engine-type: sglang}", "sglang"),
    ],
)
def test_the_engine_is_named_by_field_or_label(fields: str, engine: str) -> None:
    (spec,) = load(f"pool: {{name: p}}\nendpoints: [{{address: 10.0.0.1{fields}}}]").endpoints
    assert spec.engine == engine


def test_rules_for_named_models_go_first_and_else_the_files_order() -> None:
    found = load("""\
pool: {name: p}
rewrites:
- {name: any-1, targets: [{model: x}]}
- {name: b, models: [m], targets: [{model: x}]}
- {name: any-2, models: [], targets: [{model: x}]}
- {name: a, models: [m, n], targets: [{model: x}]}
""")
    assert [(rewrite.name, rewrite.models) for rewrite in found.rewrites] == [
        ("b", ("m",)),
        ("a", ("m", "n")),
        ("any-1", ()),
        ("any-2", ()),
    ]
    assert found.rewrites[0].targets == (RewriteTarget("x", None),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["pool.yaml: is empty"]),
        ("[]", ["pool.yaml:1: has to be a map, not a list"]),
        ("endpoints: []", ["pool.yaml:1: pool: is missing"]),
        ("pool: {name: ''}", ["pool.yaml:1: pool.name: has to have 1 to 253 characters, not 0"]),
        (
            "pool: {name: p, namespace: Team_A}",
            [
                "pool.yaml:1: pool.namespace: has to be 1 to 63 lower-case letters, digits and dashes, "
                'not "Team_A"'
            ],
        ),
        (
            "pool: {name: p, targetPorts: []}",
            ["pool.yaml:1: pool.targetPorts: has to have 1 to 8 items, not 0"],
        ),
        ("pool: {name: p, targetPorts: [1, 2, 1]}", ["pool.yaml:1: pool.targetPorts: has 1 more than once"]),
    ],
)
def test_says_what_is_wrong(text: str, expected: list[str]) -> None:
    assert faults(text) == expected


def test_names_and_addresses_are_taken_once() -> None:
    assert faults("""\
pool: {name: p, targetPorts: [8000, 8001]}
endpoints:
- {name: a, address: 10.0.0.1}
- {address: 10.0.0.1, port: 8001}
- {address: 10.0.0.1, port: 8001}
- {name: a-rank-1, address: 10.0.0.2, port: 1}
- {name: b, address: "2001:db8:0::1", port: 1}
- {name: c, address: "2001:DB8::1", port: 1}
- {name: d, address: gpu.example, port: 1}
- {name: d, address: GPU.example, port: 2}
objectives: [{name: o}, {name: o, priority: 2}]
rewrites:
- {name: r, targets: [{model: x}]}
- {name: r, targets: [{model: x}]}
""") == [
        'pool.yaml:4: endpoints[1]: has the address "10.0.0.1:8001", which is taken on line 3',
        'pool.yaml:5: endpoints[2]: has the address "10.0.0.1:8001", which is taken on line 3',
        'pool.yaml:6: endpoints[3]: has the name "a-rank-1", which is taken on line 3',
        'pool.yaml:8: endpoints[5]: has the address "[2001:db8::1]:1", which is taken on line 7',
        'pool.yaml:10: endpoints[7]: has the name "d", which is taken on line 9',
        'pool.yaml:11: objectives[1]: has the name "o", which is taken on line 11',
        'pool.yaml:14: rewrites[1]: has the name "r", which is taken on line 13',
    ]


def test_every_fault_is_said_with_its_line_and_path() -> None:
    assert faults("""\
pool:
  nme: p
  targetPorts: [0]
endpoints:
- adress: 10.0.0.1
- address: 10.0.0.1:8000
  port: "8000"
- address: 10.0.0.2
  engine: vlm
- address: 10.0.0.3
  labels:
    inference.networking.k8s.io/engine-type: sglan
- address: 10.0.0.4
  engine: vllm
  labels:
    inference.networking.k8s.io/engine-type: sglang
- address: 10.0.0.4
objectives:
- priority: 3000000000
rewrites:
- name: r
  targets: []
- name: s
  targets:
  - {weight: 0}
endpoint: []
""") == [
        "pool.yaml:2: pool.name: is missing",
        'pool.yaml:2: pool.nme: is no field; did you mean "name"?',
        "pool.yaml:3: pool.targetPorts[0]: has to be from 1 to 65535, not 0",
        "pool.yaml:5: endpoints[0].address: is missing",
        'pool.yaml:5: endpoints[0].adress: is no field; did you mean "address"?',
        "pool.yaml:6: endpoints[1].address: has to be an IP address or a host name, without brackets or "
        'port, not "10.0.0.1:8000"',
        'pool.yaml:7: endpoints[1].port: has to be a whole number, not "8000"',
        "pool.yaml:9: endpoints[2].engine: has to be one of vllm, sglang, trtllm-serve, triton-tensorrt-llm, "
        'not "vlm"; did you mean "vllm"?',
        'pool.yaml:10: endpoints[3].labels["inference.networking.k8s.io/engine-type"]: has to be one of '
        'vllm, sglang, trtllm-serve, triton-tensorrt-llm, not "sglan"; did you mean "sglang"?',
        "pool.yaml:13: endpoints[4].engine: says vllm, but the label inference.networking.k8s.io/engine-type "
        "says sglang",
        'pool.yaml:17: endpoints[5]: has the address "10.0.0.4:8000", which is taken on line 13',
        "pool.yaml:19: objectives[0].name: is missing",
        "pool.yaml:19: objectives[0].priority: has to be from -2147483648 to 2147483647, not 3000000000",
        "pool.yaml:22: rewrites[0].targets: has to have 1 to 1000 items, not 0",
        "pool.yaml:25: rewrites[1].targets[0].model: is missing",
        "pool.yaml:25: rewrites[1].targets[0].weight: has to be from 1 to 1000000, not 0",
        'pool.yaml:26: endpoint: is no field; did you mean "endpoints"?',
    ]
