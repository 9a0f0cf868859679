from epp.gateway.demo_requests import Models
from epp.gateway.up_settings import UpSettings
from epp.gateway.welcome import render_welcome
from epp.types import EndpointSpec

SERVERS = [EndpointSpec("a", "127.0.0.1", 8001), EndpointSpec("b", "::1", 8002)]


def test_what_runs_where_and_what_to_try():
    assert render_welcome(UpSettings(), SERVERS, Models("llama", ("food-review",))) == [
        "gateway  http://127.0.0.1:8080  (override_host; Envoy's admin page: http://127.0.0.1:9901)",
        "picker   http://127.0.0.1:9090/metrics  /debug/endpoints  /debug/decisions  (ext_proc on 9002)",
        "servers  127.0.0.1:8001, [::1]:8002  (simulated)",
        "models   llama, food-review",
        "",
        "Try:  curl http://127.0.0.1:8080/v1/completions -H 'content-type: application/json' -d"
        ' \'{"model": "food-review", "prompt": "Write as if you were a critic: San Francisco",'
        ' "max_tokens": 100, "temperature": 0}\'',
        "Ctrl-C ends it all.",
        "",
    ]


def test_servers_that_do_not_say_what_they_serve():
    lines = render_welcome(UpSettings(backend=("http://127.0.0.1:8000",)), [], None)
    assert lines[2:4] == ["servers  none yet", "models   the servers do not say"]
    assert lines[5] == "Try:  curl http://127.0.0.1:8080/v1/models"
