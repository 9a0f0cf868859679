import pytest
import yaml

from epp.config.flags import HelpRequested
from epp.errors import ConfigError
from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.bootstrap_cli import main
from epp.gateway.settings import GatewaySettings


def test_it_prints_what_the_flags_ask_for(capsys):
    assert main(["--cluster=original_dst", "--port", "80"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == envoy_bootstrap(GatewaySettings(cluster="original_dst", port=80))


def test_help_and_faults_are_raised():
    with pytest.raises(HelpRequested, match="--picker-tls"):
        main(["--help"])
    with pytest.raises(ConfigError, match="did you mean --cluster"):
        main(["--clusters=dns"])
