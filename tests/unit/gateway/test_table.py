from epp.gateway.table import render_endpoints


def endpoint(address, **values):
    return {
        "address": address,
        "fresh": True,
        "waiting": 0.0,
        "running": 2.0,
        "kv_usage": 0.125,
        "picks": 23,
        "adapters": {"listed": [], "at_hand": ["a", "b"], "in_flight": {}},
    } | values


def test_endpoints():
    rows = [
        endpoint("127.0.0.1:8001"),
        endpoint("127.0.0.1:8002", waiting=None, kv_usage=1.0, adapters={"at_hand": []}),
        endpoint("[::1]:8003", fresh=False, picks=7),
    ]
    assert render_endpoints(rows) == [
        "endpoint        queue  running  KV use  requests  adapters",
        "127.0.0.1:8001      0        2   12.5%        23  a, b",
        "127.0.0.1:8002      ?        2  100.0%        23  -",
        "[::1]:8003          ?        ?       ?         7  a, b",
    ]
