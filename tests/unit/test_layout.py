"""Every module has its test file, under the same path."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES, TESTS = ROOT / "epp", ROOT / "tests" / "unit"

# Modules without a test file of their own.
UNTESTED = {
    "app.py": "the composition root: every end-to-end test starts it with real parts around it",
    "config/picker_config.py": "records; test_picker.py reads files into them",
    "extproc/exchange.py": "a protocol and a record",
    "plugin.py": "protocols and a record",
    "scheduling/policy.py": "a record; test_build.py makes it",
    "wire/messages.py": "records; test_codec.py sends each of them there and back",
}

# Test files of more than one module.
OF_SEVERAL = {
    "test_docs_plugins.py": "the examples in docs/plugins.md",
    "config/test_deploy.py": "deploy/configs, and the generated files",
    "config/test_examples.py": "published configurations, over the whole reading",
    "test_hermetic_cases.py": "the reference's cases over a whole conversation",
    "test_layout.py": "this one",
    "test_plugins_at_work.py": "plugins in a whole picker",
    "transport/h2/test_conformance_frames.py": "RFC 9113, sections 4 and 6, over the whole core",
    "transport/h2/test_conformance_hpack.py": "RFC 7541 over the whole core",
    "transport/h2/test_conformance_requests.py": "RFC 9113, section 8, over the whole core",
    "transport/h2/test_conformance_streams.py": "RFC 9113, sections 3 and 5, over the whole core",
    "transport/test_differential.py": "both servers beside each other",
    "transport/test_servers.py": "what both servers have to do",
    "wire/test_protos.py": "the .proto files and the code generated from them",
}


def is_generated_or_empty(module: Path) -> bool:
    return module.stem in ("__init__", "__main__") or module.stem.endswith("_pb2")


def test_every_module_has_its_test_file() -> None:
    modules = {path for path in MODULES.rglob("*.py") if not is_generated_or_empty(path)}
    wanted = {path.relative_to(MODULES) for path in modules}
    tested = {path for path in wanted if (TESTS / path.parent / f"test_{path.name}").exists()}
    assert {str(path) for path in wanted - tested} == set(UNTESTED)


def test_every_test_file_has_its_module() -> None:
    files = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    tested = {path for path in files if (MODULES / path.parent / path.name.removeprefix("test_")).exists()}
    assert {str(path) for path in files - tested} == set(OF_SEVERAL)
