import json
import subprocess

import pytest

from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.envoy import find_envoy
from epp.gateway.settings import GatewaySettings

BODY_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"]


def validate(bootstrap):
    argv = [find_envoy(), "--mode", "validate", "-l", "warn", "--config-yaml", json.dumps(bootstrap)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def accepted(**settings):
    done = validate(envoy_bootstrap(GatewaySettings(**settings)))
    # Nothing to warn of either: no deprecated field, no missing limit.
    return (done.returncode, done.stdout.strip(), done.stderr) == (0, "configuration '' OK", "")


@pytest.fixture
def eds_file(tmp_path):
    path = tmp_path / "eds.json"
    write_eds(path, render_eds([]))
    return str(path)


@pytest.mark.parametrize("request_mode", BODY_MODES)
@pytest.mark.parametrize("response_mode", BODY_MODES)
def test_envoy_accepts_every_pair_of_body_modes(eds_file, request_mode, response_mode):
    assert accepted(eds_file=eds_file, request_body_mode=request_mode, response_body_mode=response_mode)


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster": "original_dst"},
        {"fail_open": True},
        {"picker_tls": False},
        {"picker_health_check": True},
        {"picker": "picker.example:9002"},
        {"picker": "[::1]:9002"},
        {"picker": "unix:/run/epp.sock"},
        {"picker": "unix:/run/epp.sock", "picker_tls": False, "picker_health_check": True},
        {"host": "::", "port": 65535, "access_log": "/dev/stdout", "served_by_header": True},
    ],
)
def test_envoy_accepts_every_variant(eds_file, settings):
    assert accepted(eds_file=eds_file, **settings)


def test_envoy_would_say_what_it_does_not_accept(eds_file):
    bootstrap = envoy_bootstrap(GatewaySettings(eds_file=eds_file))
    bootstrap["static_resources"]["listeners"][0]["adress"] = {}
    done = validate(bootstrap)
    assert done.returncode == 1
    assert "adress" in done.stderr


def test_the_admin_page_is_for_this_machine_only():
    bootstrap = envoy_bootstrap(GatewaySettings(host="0.0.0.0", admin_port=1234))
    assert bootstrap["admin"] == {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1234}}}
