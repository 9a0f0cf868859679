import pytest

from epp.gateway.demo_report import Outcome, explain, render_report
from epp.gateway.demo_requests import DemoRequest

A, B = "127.0.0.1:8001", "127.0.0.1:8002"
REQUEST = DemoRequest("demo-01", "completions", "llama", False, "base-model", "Hello")


def decision(*totals, picked=A):
    """One candidate for each (queue score, prefix score)."""
    weights = {"queue-scorer": 2.0, "prefix-cache-scorer": 3.0}
    candidates = [
        {
            "address": address,
            "total": 2 * queue + 3 * prefix,
            "scores": {"queue-scorer": queue, "prefix-cache-scorer": prefix},
        }
        for address, (queue, prefix) in zip((A, B), totals, strict=False)
    ]
    return {"picked": [picked, B], "priority": 2, "weights": weights, "candidates": candidates}


def test_why_the_winner_won():
    assert explain(decision((0.5, 0.8), (1.0, 0.0))) == (
        "3.40, +1.40 to 127.0.0.1:8002: prefix-cache +2.40, queue -1.00"
    )
    assert explain(decision((0.5, 0.8), (0.0, 0.8))) == "3.40, +1.00 to 127.0.0.1:8002: queue +1.00"
    assert explain(decision((1.0, 0.0), (1.0, 0.0))) == (
        "2.00, level with 127.0.0.1:8002, not used for longer"
    )
    assert explain(decision((1.0, 0.0))) == "the only candidate"


@pytest.mark.parametrize(
    ("outcome", "failure"),
    [
        (Outcome(REQUEST, 200, A, "", decision((1, 1))), ""),
        (Outcome(REQUEST, 200, B, "", decision((1, 1))), f"picked {A}, served by {B}"),
        (Outcome(REQUEST, 200, "", "", decision((1, 1))), f"picked {A}, served by ?"),
        (Outcome(REQUEST, 503, A, "", decision((1, 1))), "HTTP 503"),
        (Outcome(REQUEST, 0, "", "no answer: reset", None), "no answer: reset"),
        (Outcome(REQUEST, 200, A, "", None), "the picker knows of no such request"),
    ],
)
def test_what_is_a_failure(outcome, failure):
    assert outcome.failure == failure


def test_the_report():
    chat = DemoRequest("demo-02", "chat/completions", "food-review", True, "", "Hello")
    outcomes = [
        Outcome(REQUEST, 200, A, "", decision((1.0, 0.0), (0.5, 0.0))),
        Outcome(chat, 500, "", "", None),
    ]
    assert render_report(outcomes) == [
        "request  api               stream  model        objective       served by       why",
        "demo-01  completions       no      llama        base-model (2)  127.0.0.1:8001"
        "  2.00, +1.00 to 127.0.0.1:8002: queue +1.00",
        "demo-02  chat/completions  yes     food-review  - (?)           ?               FAILED: HTTP 500",
        "",
        "server          food-review  llama",
        "?                         1      0",
        "127.0.0.1:8001            0      1",
        "",
        "1 of 2 requests got HTTP 200 from the server that the picker chose",
    ]
