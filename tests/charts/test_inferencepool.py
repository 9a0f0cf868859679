"""The chart `inferencepool`, rendered by helm: objects, names, rights, and what each value does."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.config.effective import effective_text
from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_TEXT
from tests.charts import reference
from tests.charts.objects import CHARTS, GUIDE, Json, Objects, faults, read, run, template

EXTENSION = "inferenceExtension"
V1ALPHA2 = "inferencePool.apiVersion=inference.networking.x-k8s.io/v1alpha2"
GKE_MONITORING = f"{EXTENSION}.monitoring.gke.enabled=true"
PROMETHEUS = f"{EXTENSION}.monitoring.prometheus.enabled=true"
NO_AUTH = f"{EXTENSION}.monitoring.prometheus.auth.enabled=false"


def extension(**values: Any) -> Objects:
    return template("inferencepool", GUIDE, values={EXTENSION: values})


def refusal(*sets: str, values: Json | None = None) -> str:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        template("inferencepool", *sets, values=values)
    return str(caught.value.stderr)


def test_lint() -> None:
    assert "0 chart(s) failed" in run("helm", "lint", CHARTS / "inferencepool", "--strict", "--set", GUIDE)


def test_a_package_has_everything(tmp_path: Path) -> None:
    """The templates that both charts share are in it, and not a link to them."""
    run("helm", "package", CHARTS / "inferencepool", "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    from_package = read(run("helm", "template", "r", package, "--namespace", "n", "--set", GUIDE))
    assert from_package == template("inferencepool", GUIDE)


# --- which objects ---

ALWAYS = {
    "ServiceAccount r-epp", "Role r-epp", "RoleBinding r-epp", "ClusterRole r-n-epp",
    "ClusterRoleBinding r-n-epp", "ConfigMap r-epp", "Deployment r-epp", "Service r-epp", "InferencePool r",
}  # fmt: skip
OF_GKE = {"HealthCheckPolicy r", "GCPBackendPolicy r"}
METRICS_READER = {
    "PodMonitoring r", "ServiceAccount r-metrics-reader-sa", "Secret r-metrics-reader-secret",
    "ClusterRole n-r-metrics-reader", "ClusterRoleBinding n-r-metrics-reader-role-binding",
    "Role r-metrics-reader-secret-read",
}  # fmt: skip
GMP = {*METRICS_READER, "RoleBinding gmp-system:collector:n-r-metrics-reader-secret-read"}
AUTOPILOT = {*METRICS_READER, "RoleBinding gke-gmp-system:collector:n-r-metrics-reader-secret-read"}
OPERATOR = {"ServiceMonitor r-epp-monitor", "Secret inference-gateway-sa-metrics-reader-secret"}
ELECTION = {"Role r-epp-leader-election", "RoleBinding r-epp-leader-election"}


@pytest.mark.parametrize(
    ("sets", "more"),
    [
        ([], set()),
        ([V1ALPHA2], set()),
        (["provider.name=istio"], {"DestinationRule r-epp"}),
        (["provider.name=gke"], OF_GKE),
        (["provider.name=GKE"], OF_GKE),
        (["provider.name=gke", GKE_MONITORING], OF_GKE | GMP),
        (["provider.name=gke", PROMETHEUS], OF_GKE | GMP),
        (["provider.name=gke", GKE_MONITORING, "provider.gke.autopilot=true"], OF_GKE | AUTOPILOT),
        ([GKE_MONITORING], set()),
        ([PROMETHEUS], OPERATOR),
        (
            [PROMETHEUS, f"{EXTENSION}.monitoring.secret.name=old"],
            {"ServiceMonitor r-epp-monitor", "Secret old"},
        ),
        ([f"{EXTENSION}.replicas=2"], ELECTION),
        ([f"{EXTENSION}.replicas=2", f"{EXTENSION}.leaderElection=false"], {"PodDisruptionBudget r-epp"}),
        ([f"{EXTENSION}.networkPolicy.enabled=true"], {"NetworkPolicy r-epp"}),
        (["experimentalHttpRoute.enabled=true"], {"HTTPRoute r"}),
        (["inferenceObjectives[0].name=food-review"], {"InferenceObjective food-review"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_objects_and_their_names(sets: list[str], more: set[str]) -> None:
    assert template("inferencepool", GUIDE, *sets).names() == ALWAYS | more


def test_without_tokens_at_metrics_there_is_nothing_to_ask_the_cluster() -> None:
    objects = template("inferencepool", GUIDE, NO_AUTH)
    assert objects.names() == ALWAYS - {"ClusterRole r-n-epp", "ClusterRoleBinding r-n-epp"}


def test_googles_collector_needs_no_token_where_none_is_asked_for() -> None:
    objects = template("inferencepool", GUIDE, "provider.name=gke", GKE_MONITORING, NO_AUTH)
    assert METRICS_READER & objects.names() == {"PodMonitoring r"}
    (endpoint,) = objects.one("PodMonitoring")["spec"]["endpoints"]
    assert "authorization" not in endpoint


def test_long_names_are_cut_as_the_reference_cuts_them() -> None:
    objects = template("inferencepool", GUIDE, release="a" * 53, namespace="b" * 63)
    assert {
        "Deployment " + "a" * 40 + "-epp",
        "ClusterRole " + "a" * 40 + "-" + "b" * 40 + "-epp",
    } <= objects.names()
    assert faults(objects) == []


GRID = list(
    itertools.product(
        ["none", "gke", "istio"],
        ["inference.networking.k8s.io/v1", "inference.networking.x-k8s.io/v1alpha2"],
        [
            {},
            {"replicas": 3, "tracing": {"enabled": True}},
            {"replicas": 3, "leaderElection": False, "networkPolicy": {"enabled": True}},
            {"monitoring": {"gke": {"enabled": True}, "prometheus": {"enabled": True}}},
            {
                "sidecar": {"enabled": True, "name": "s", "image": "s:1"},
                "extraServicePorts": [{"name": "s", "port": 1}],
            },
        ],
    )
)


@pytest.mark.parametrize(("provider", "api_version", "values"), GRID, ids=lambda value: str(value)[:40])
def test_kubernetes_and_the_crds_take_what_is_rendered(provider: str, api_version: str, values: Json) -> None:
    objects = template(
        "inferencepool", GUIDE,
        values={
            EXTENSION: values,
            "inferencePool": {"apiVersion": api_version},
            "provider": {"name": provider},
            "experimentalHttpRoute": {"enabled": True, "baseModel": "m"},
            "inferenceObjectives": [{"name": "food-review", "priority": 1}, {"name": "unset"}],
        },
    )  # fmt: skip
    assert faults(objects) == []
    assert_complete(objects)


def assert_complete(objects: Objects) -> None:
    """Whatever names another object names one that is there."""
    names = objects.names()
    pod = objects.pod["spec"]
    assert f"ServiceAccount {pod['serviceAccountName']}" in names
    for binding in (o for o in objects if o["kind"].endswith("RoleBinding") or o["kind"] == "RoleBinding"):
        assert f"{binding['roleRef']['kind']} {binding['roleRef']['name']}" in names
        for subject in binding["subjects"]:
            assert f"ServiceAccount {subject['name']}" in names or subject["name"] == "collector"
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"] + pod.get("initContainers", []):
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
    labels = objects.pod["metadata"]["labels"].items()
    assert objects.one("Service")["spec"]["selector"].items() <= labels
    assert objects.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels
    for kind in ("PodDisruptionBudget", "PodMonitoring"):
        for o in (o for o in objects if o["kind"] == kind):
            assert o["spec"]["selector"]["matchLabels"].items() <= labels
    pool = objects.one("InferencePool")
    picker = pool["spec"].get("endpointPickerRef") or pool["spec"]["extensionRef"]
    ports = {port["port"] for port in objects.one("Service", picker["name"])["spec"]["ports"]}
    assert picker.get("portNumber", picker.get("port", {}).get("number")) in ports


# --- values of the reference ---


@pytest.mark.parametrize("values", [reference.VALUES_1_0_1, reference.VALUES_1_5], ids=["v1.0.1", "v1.5"])
def test_every_value_of_the_reference_is_taken(values: Json) -> None:
    objects = template("inferencepool", values=values)
    assert faults(objects) == []
    assert_complete(objects)
    assert objects.pod["spec"]["affinity"] == reference.AFFINITY
    assert objects.pod["spec"]["tolerations"] == [reference.TOLERATION]
    assert objects.container["imagePullPolicy"] == "Always"
    assert objects.one("Secret")["metadata"]["name"] == "metrics-secret"
    rule = objects.one("DestinationRule")["spec"]
    assert rule["host"] == "picker.example"
    assert rule["trafficPolicy"]["connectionPool"] == {"http": {"maxRequestsPerConnection": 256000}}


def test_values_of_1_0_1() -> None:
    objects = template("inferencepool", values=reference.VALUES_1_0_1)
    assert objects.container["image"] == "example.com/pickers/epp:v9"
    assert {"name": "SD_QUEUE_DEPTH_THRESHOLD", "value": "7"} in objects.container["env"]
    assert "--config-file=/config/custom-plugins.yaml" in objects.container["args"]
    assert objects.one("ConfigMap")["data"]["custom-plugins.yaml"] == reference.PLUGINS
    assert objects.container["ports"][-1]["containerPort"] == 9999
    assert objects.one("Service")["spec"]["ports"][-1]["port"] == 9999
    assert objects.one("InferencePool")["spec"] == {
        "targetPorts": [{"number": 8000}],
        "selector": {"matchLabels": {"app": "vllm-llama3-8b-instruct"}},
        "endpointPickerRef": {"name": "r-epp", "port": {"number": 9002}, "failureMode": "FailClose"},
    }


def test_values_of_1_5() -> None:
    objects = template("inferencepool", values=reference.VALUES_1_5)
    assert objects.container["image"] == "example.com/pickers/epp:v9"
    assert objects.container["resources"]["requests"] == {"cpu": "4", "memory": "8Gi"}
    assert {"name": "more", "mountPath": "/more"} in objects.container["volumeMounts"]
    environment = {each["name"]: each.get("value") for each in objects.container["env"]}
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"
    (beside,) = objects.pod["spec"]["initContainers"]
    assert (beside["name"], beside["command"], beside["restartPolicy"]) == ("beside", ["beside"], "Always")
    assert objects.one("ConfigMap", "beside")["data"] == {"beside.conf": "x"}
    assert objects.one("ServiceMonitor")["metadata"]["labels"]["team"] == "a"
    assert objects.one("InferenceObjective", "batch")["spec"] == {
        "priority": -1,
        "poolRef": {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "r"},
    }
    assert objects.one("InferencePool")["spec"]["targetPorts"] == [{"number": 8000}, {"number": 8001}]
    (rule,) = objects.one("HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "300s"}
    assert rule["matches"][0]["headers"][0]["value"] == "meta-llama/Llama-3.1-8B-Instruct"


def test_a_pool_of_the_older_version() -> None:
    objects = template(
        "inferencepool", GUIDE, V1ALPHA2, "provider.name=gke", "inferencePool.targetPortNumber=9000"
    )
    assert objects.one("InferencePool")["spec"] == {
        "targetPortNumber": 9000,
        "selector": {"app": "vllm-llama3-8b-instruct"},
        "extensionRef": {"name": "r-epp", "portNumber": 9002, "failureMode": "FailOpen"},
    }
    assert objects.one("HealthCheckPolicy")["spec"]["targetRef"]["group"] == "inference.networking.x-k8s.io"
    assert objects.one("HealthCheckPolicy")["spec"]["default"]["config"]["httpHealthCheck"]["port"] == 9000


def test_servers_that_speak_grpc() -> None:
    objects = template("inferencepool", GUIDE, "inferencePool.modelServerProtocol=grpc", "provider.name=gke")
    assert faults(objects) == []
    assert objects.one("InferencePool")["spec"]["appProtocol"] == "kubernetes.io/h2c"
    assert objects.one("HealthCheckPolicy")["spec"]["default"]["config"]["type"] == "GRPC"
    config = yaml.safe_load(objects.one("ConfigMap")["data"]["default-plugins.yaml"])
    assert config["parser"] == {"pluginRef": "vllmgrpc-parser"}


@pytest.mark.parametrize(
    ("sets", "image"),
    [
        ([], "epp:0.1.0"),
        (["image.tag=v2"], "epp:v2"),
        (["image.tag=1"], "epp:1"),
        (["image.registry=example.com", "image.repository=a/b"], "example.com/a/b:0.1.0"),
        (["image.hub=example.com/a", "image.name=b", "image.tag=v1.0.1"], "example.com/a/b:v1.0.1"),
        (["image.hub=example.com/a"], "example.com/a/epp:0.1.0"),
    ],
)
def test_image(sets: list[str], image: str) -> None:
    objects = template("inferencepool", GUIDE, *(f"{EXTENSION}.{each}" for each in sets))
    assert objects.container["image"] == image


# --- the configuration ---


def test_the_default_configuration_is_the_built_in_one() -> None:
    text = template("inferencepool", GUIDE).one("ConfigMap")["data"]["default-plugins.yaml"]
    assert effective(text) == effective(DEFAULT_TEXT)


def effective(text: str) -> str:
    config = load_picker_config(text, "f", OWN_TYPES)
    assert config.warnings == ()
    return effective_text(config)


def test_a_file_of_the_same_name_replaces_ours() -> None:
    objects = extension(pluginsCustomConfig={"default-plugins.yaml": reference.PLUGINS})
    assert objects.one("ConfigMap")["data"] == {"default-plugins.yaml": reference.PLUGINS}


# --- what is refused ---


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([], ".Values.inferencePool.modelServers.matchLabels is required"),
        ([GUIDE, f"{EXTENSION}.latencyPredictor.enabled=true"], "this picker has no latency predictor"),
        ([GUIDE, f"{EXTENSION}.pluginsConfigFile=no.yaml"], '"no.yaml" is neither default-plugins.yaml nor'),
        ([GUIDE, f"{EXTENSION}.replica=2"], "'replica' not allowed"),
        ([GUIDE, f"{EXTENSION}.replicas=two"], "/inferenceExtension/replicas"),
        ([GUIDE, f"{EXTENSION}.failureMode=open"], "/inferenceExtension/failureMode"),
        ([GUIDE, "provider.name=gcp"], "/provider/name"),
        ([GUIDE, "inferencePool.modelServerType=ollama"], "/inferencePool/modelServerType"),
        ([GUIDE, "inferencePool.apiVersion=v1"], "/inferencePool/apiVersion"),
        ([GUIDE, "inferencePool.targetPorts[0].number=0"], "/inferencePool/targetPorts/0/number"),
        ([GUIDE, f"{EXTENSION}.sidecar.enabled=true"], "missing properties 'name', 'image'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and value else "",
)
def test_refused(sets: list[str], words: str) -> None:
    assert words in refusal(*sets)


# --- rights ---

READ = ["list", "watch"]
OBJECTIVES = ["inference.networking.x-k8s.io", "inference.networking.k8s.io", "llm-d.ai"]


@pytest.mark.parametrize("group", ["inference.networking.k8s.io", "inference.networking.x-k8s.io"])
def test_the_picker_may_read_what_it_watches(group: str) -> None:
    sets = [V1ALPHA2] if "x-k8s" in group else []
    assert rules(template("inferencepool", GUIDE, *sets).one("Role")) == {
        ("", "pods"): READ,
        (group, "inferencepools"): READ,
        **{
            (each, kind): READ
            for each in OBJECTIVES
            for kind in ("inferenceobjectives", "inferencemodelrewrites")
        },
        ("inference.networking.x-k8s.io", "inferencemodels"): READ,
    }


def test_the_picker_may_ask_who_knocks_at_metrics() -> None:
    asks = {
        ("authentication.k8s.io", "tokenreviews"): ["create"],
        ("authorization.k8s.io", "subjectaccessreviews"): ["create"],
    }
    assert rules(template("inferencepool", GUIDE).one("ClusterRole")) == asks
    # Prometheus comes with the picker's own token.
    assert rules(template("inferencepool", GUIDE, PROMETHEUS).one("ClusterRole")) == {
        **asks,
        ("", "/metrics"): ["get"],
    }


def test_the_picker_may_hold_the_lease() -> None:
    lease = "epp-n-r.gateway-api-inference-extension.sigs.k8s.io"
    role = extension(replicas=2).one("Role", "r-epp-leader-election")
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "resourceNames": [lease], "verbs": ["get", "update"]},
        {**leases, "verbs": ["create"]},
    ]


def test_googles_collector_may_read_one_token_and_its_owner_metrics() -> None:
    objects = template("inferencepool", GUIDE, "provider.name=gke", GKE_MONITORING)
    role = objects.one("Role", "r-metrics-reader-secret-read")
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["r-metrics-reader-secret"],
            "verbs": ["get", *READ],
        }
    ]
    assert rules(objects.one("ClusterRole", "n-r-metrics-reader")) == {("", "/metrics"): ["get"]}
    (subject,) = objects.one("RoleBinding", "gmp-system:collector:n-r-metrics-reader-secret-read")["subjects"]
    assert (subject["namespace"], subject["name"]) == ("gmp-system", "collector")


def rules(role: Json) -> dict[tuple[str, str], list[str]]:
    """Verbs by group and resource, or by "" and path."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in role["rules"]:
        things = rule.get("resources") or rule["nonResourceURLs"]
        for key in itertools.product(rule.get("apiGroups", [""]), things):
            assert key not in found
            found[key] = rule["verbs"]
    return found


# --- running it ---


def test_runs_as_nobody_on_a_read_only_root() -> None:
    objects = template("inferencepool", GUIDE)
    assert objects.pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert objects.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("values", "surge", "unavailable", "budget"),
    [
        pytest.param({}, 1, 0, False, id="one"),
        pytest.param({"replicas": 3, "leaderElection": False}, 1, 0, True, id="all serve"),
        # Only the leader is ever ready: to wait for the others would be to wait for ever.
        pytest.param({"replicas": 3}, "100%", "100%", False, id="one leads"),
        pytest.param(
            {"replicas": 3, "leaderElection": False, "podDisruptionBudget": {"enabled": False}},
            1, 0, False, id="no budget",
        ),
    ],
)  # fmt: skip
def test_updates_and_drains(values: Json, surge: int | str, unavailable: int | str, budget: bool) -> None:
    objects = extension(**values)
    rolling = objects.one("Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": surge, "maxUnavailable": unavailable}
    assert ("PodDisruptionBudget r-epp" in objects.names()) == budget


def test_streams_may_end_before_the_pod_is_killed() -> None:
    objects = extension(terminationGracePeriodSeconds=300)
    assert objects.pod["spec"]["terminationGracePeriodSeconds"] == 300
    assert "--drain-timeout=290s" in objects.container["args"]


@pytest.mark.parametrize(("replicas", "service"), [(1, "inference-extension"), (2, "readiness")])
def test_probes(replicas: int, service: str) -> None:
    container = extension(replicas=replicas).container
    assert container["readinessProbe"]["grpc"] == {"port": 9003, "service": service}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "grpc": 9002,
        "grpc-health": 9003,
        "metrics": 9090,
    }


MOVED = {"grpc-port": 9102, "grpc-health-port": 9103, "metrics-port": 9190}


@pytest.mark.parametrize(
    "flags", [MOVED, [{"name": n, "value": v} for n, v in MOVED.items()]], ids=["map", "list"]
)
def test_ports_that_flags_move(flags: Any) -> None:
    objects = extension(flags=flags)
    assert [port["containerPort"] for port in objects.container["ports"]] == list(MOVED.values())
    assert objects.container["readinessProbe"]["grpc"]["port"] == 9103
    # The Service's own ports stay, and lead there by name.
    ports = {port["port"]: port["targetPort"] for port in objects.one("Service")["spec"]["ports"]}
    assert ports == {9002: "grpc", 9090: "metrics"}


def test_several_replicas_are_spread() -> None:
    spread = extension(replicas=2).pod["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
    assert "topologySpreadConstraints" not in extension().pod["spec"]


def test_priority_class() -> None:
    assert extension(priorityClassName="high").pod["spec"]["priorityClassName"] == "high"
    assert "priorityClassName" not in extension().pod["spec"]


def test_network_policy() -> None:
    gateways = [{"ipBlock": {"cidr": "10.129.0.0/23"}}]
    objects = extension(networkPolicy={"enabled": True, "gateways": gateways})
    assert objects.one("NetworkPolicy")["spec"]["ingress"] == [
        {"ports": [{"port": "grpc"}, {"port": "grpc-health"}], "from": gateways},
        {"ports": [{"port": "metrics"}]},
    ]


# --- documentation ---

# Values that stand in values.yaml as comments, for they have no default.
COMMENTED = {"leaderElection", "hub", "flags", "targetPortNumber", "modelServers", "matchLabels", "baseModel"}
# What the reference's values or helm itself may hold, with nothing to say about it.
UNSAID = {"global", "picker", "istio"}
# Parts of a side-car, said in one sentence.
OF_SIDECAR = {
    "args", "command", "configMap", "data", "image", "imagePullPolicy", "livenessProbe", "name", "ports",
    "readinessProbe", "securityContext", "startupProbe", "volumeMounts", "volumes", "env", "resources",
}  # fmt: skip


@pytest.mark.parametrize("chart", ["inferencepool", "standalone"])
def test_every_value_is_documented(chart: str) -> None:
    text = (CHARTS / chart / "values.yaml").read_text()
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    known = set(properties(schema, schema)) - UNSAID
    written = set(keys(yaml.safe_load(text)))
    assert known - written - OF_SIDECAR <= COMMENTED
    for name in known - written - OF_SIDECAR:
        assert f"# {name}:" in text or f"#   {name}:" in text


def keys(values: Any) -> list[str]:
    if isinstance(values, dict):
        return [key for name, value in values.items() for key in (name, *keys(value))]
    return []


def properties(schema: Json, root: Json) -> list[str]:
    if "$ref" in schema:
        return properties(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    found = list(schema.get("properties", {}))
    for each in schema.get("properties", {}).values():
        found += properties(each, root)
    return found


def test_charts_have_the_projects_version() -> None:
    pyproject = (CHARTS.parents[1] / "pyproject.toml").read_text()
    for chart in ("inferencepool", "standalone"):
        version = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())["appVersion"]
        assert f'\nversion = "{version}"\n' in pyproject
