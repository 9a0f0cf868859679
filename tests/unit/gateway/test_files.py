import json
from pathlib import Path

import pytest

from epp.config.pool_file import load_pool_file
from epp.gateway.files import write_files
from epp.gateway.up_settings import UpSettings


def bootstrap_of(files):
    return json.loads(files.bootstrap.read_text())


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        (UpSettings(sim=2), ["127.0.0.1:8001", "127.0.0.1:8002"]),
        (UpSettings(backend=("http://10.0.0.1:8000", "http://[::1]")), ["10.0.0.1:8000", "[::1]:80"]),
    ],
)
def test_the_pool_of_those_servers(tmp_path, settings, addresses):
    files = write_files(tmp_path, settings)
    snapshot = load_pool_file(files.pool.read_text(), "pool")
    assert [endpoint.address for endpoint in snapshot.endpoints] == addresses


def test_what_the_user_gives_is_used_as_it_is(tmp_path):
    files = write_files(tmp_path, UpSettings(pool="my/pool.yaml", config="my/config.yaml"))
    assert (files.pool, files.config) == (Path("my/pool.yaml"), Path("my/config.yaml"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eds", "envoy.json"]


def test_the_picker_names_a_fallback_only_where_envoy_can_follow_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    override_host = write_files(tmp_path / "a", UpSettings())
    assert "maxNumOfEndpoints: 2" in override_host.config.read_text()
    assert write_files(tmp_path / "b", UpSettings(cluster="original_dst")).config is None


def test_the_bootstrap_has_the_ports_and_the_folder_that_envoy_watches(tmp_path):
    files = write_files(tmp_path, UpSettings(port=1, admin_port=2, grpc_port=3, fail_open=True))
    bootstrap = json.dumps(bootstrap_of(files))
    for port in (1, 2, 3):
        assert f'"port_value": {port}' in bootstrap
    assert '"failure_mode_allow": true' in bootstrap
    assert f'"watched_directory": {{"path": "{files.eds.parent}"}}' in bootstrap
    assert list(files.eds.parent.iterdir()) == []
    assert "x-served-by" not in bootstrap
