from epp.config.picker import PluginRef, load_picker_config
from epp.config.pool_file import load_pool_file
from epp.gateway.documents import fallback_config, pool_file
from epp.gateway.settings import TcpAddress
from epp.scheduling.build import DEFAULT_CONFIG
from epp.types import EndpointSpec, Objective


def test_the_picker_reads_the_pool_that_is_written():
    snapshot = load_pool_file(pool_file([TcpAddress("127.0.0.1", 8001), TcpAddress("::1", 8002)]), "pool")
    assert snapshot.pool.name == "epp-up"
    assert snapshot.endpoints == (
        EndpointSpec("127.0.0.1:8001", "127.0.0.1", 8001),
        EndpointSpec("[::1]:8002", "::1", 8002),
    )
    assert snapshot.objectives == (Objective("food-review", 1), Objective("base-model", 2))


def test_the_configuration_is_the_built_in_one_with_a_fallback():
    config = load_picker_config(fallback_config(), "config")
    assert [(plugin.name, plugin.type) for plugin in config.plugins[:-1]] == [
        (plugin.name, plugin.type) for plugin in DEFAULT_CONFIG.plugins
    ]
    assert config.plugins[-1].type == "max-score-picker"
    assert config.plugins[-1].parameters == {"maxNumOfEndpoints": 2}
    (profile,), (built_in,) = config.profiles, DEFAULT_CONFIG.profiles
    assert profile.name == built_in.name
    assert profile.plugins == (*built_in.plugins, PluginRef("max-score-picker"))
