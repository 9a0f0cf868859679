from dataclasses import replace

from epp.config.picker import load_picker_config
from epp.config.pool_file import load_pool_file
from epp.gateway.documents import fallback_config, pool_file
from epp.gateway.settings import TcpAddress
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_CONFIG
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
    config = load_picker_config(fallback_config(), "config", OWN_TYPES)
    plugins = {plugin.name: plugin for plugin in config.plugins}
    assert plugins["max-score-picker"].arguments == {"max_num_of_endpoints": 2}
    plugins["max-score-picker"] = replace(plugins["max-score-picker"], arguments={"max_num_of_endpoints": 1})
    assert plugins == {plugin.name: plugin for plugin in DEFAULT_CONFIG.plugins}
    assert config.profiles == DEFAULT_CONFIG.profiles
