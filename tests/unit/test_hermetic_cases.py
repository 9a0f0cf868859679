"""The reference's hermetic cases (its test/integration/epp, v1.5.0) over one conversation.

Same pool, objectives, rewrite rule, plugins and messages, row names as there. Where the picker answers
otherwise on purpose, the row says why. Four differences are in every row that reaches an endpoint:

- headers are not echoed (`hi: mom` and the request's id are not set again), because echoing makes of a
  repeated header its last value; Envoy keeps what nobody changes;
- the words between gateway and picker are taken out, since they are no business of the endpoint's;
- the endpoint is asked for its load with the answer (`endpoint-load-metrics-format`);
- the body is the client's own but for the model's name. The reference sorts and rewrites its JSON; the bodies
  of these cases are sorted and compact, so that the bytes are the same.

Error answers have the reference's status and message, in a JSON body as OpenAI's API has it and without the
prefix "inference error: <Code> - ", with headers that say the reason. The gauge of ready pods and the tracing
spans that the reference compares too are made elsewhere: the app's gauges, and nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES
from epp.types import LoadSample, Rewrite, RewriteTarget
from epp.wire.messages import (
    NO_CONTEXT,
    Answer,
    Context,
    HeaderList,
    HeaderMutation,
    HeadersAnswer,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ImmediateResponse,
    Message,
    Phase,
    StreamedBody,
    TrailersAnswer,
)
from tests.pickers import Picker, at_once
from tests.pools import load

TEXT = """
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: lora-affinity-scorer
- type: openai-parser
featureGates: [enableLegacyMetrics]
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: kv-cache-utilization-scorer
  - pluginRef: prefix-cache-scorer
  - pluginRef: lora-affinity-scorer
"""
PASSTHROUGH = (
    TEXT.replace("openai-parser", "passthrough-parser") + "parser: {pluginRef: passthrough-parser}\n"
)
OBJECTIVES = {
    "sql-lora": 2,
    "sql-lora-sheddable": 0,
    "my-model": 2,
    "direct-model": 2,
    "inference-objective-with-priority-4": 4,
}
REWRITES = [Rewrite("rewrite-test", ("model-to-be-rewritten",), (RewriteTarget("rewritten-model"),))]

DESTINATION = "x-gateway-destination-endpoint"
OBJECTIVE = "x-gateway-inference-objective"
MODEL_REWRITE = "x-gateway-model-name-rewrite"

NOT_500 = "a pool without endpoints is unavailable for a while (503), and no fault of ours (500)"
SCHEDULED = "a request without a body goes through the scheduler, where the reference picks at random"
GOS_WORDS = "what is wrong with the JSON is said in our parser's words, and not in Go's"
NOT_ECHOED = "answer headers are not echoed either: Envoy keeps them, and repeated ones survive"


def pod(queue: int, kv: float, *models: str) -> LoadSample:
    """A pod as the reference's tests fake it, with MaxActiveModels 0."""
    return load(queue, kv, *models, max_lora=0)


def body_for(model: str, prompt: str) -> bytes:
    fields = {"max_tokens": 100, "model": model, "prompt": prompt, "temperature": 0}
    return json.dumps(fields, separators=(",", ":")).encode()


def llm(prompt: str, model: str, target: str, context: Context = NO_CONTEXT) -> list[Message]:
    headers = (
        ("hi", "mom"),
        ("x-request-id", "test-request-id"),
        (OBJECTIVE, model),
        (MODEL_REWRITE, target),
    )
    return [
        HttpHeaders(Phase.REQUEST, headers, context=context),
        HttpBody(Phase.REQUEST, body_for(model, prompt), end_of_stream=True, context=context),
    ]


def subset(prompt: str, model: str, target: str, *addresses: str) -> list[Message]:
    hint = {"x-gateway-destination-endpoint-subset": list(addresses)}
    return llm(prompt, model, target, Context(metadata={"envoy.lb.subset_hint": hint}))


def raw(headers: HeaderList, *chunks: bytes) -> list[Message]:
    bodies = [HttpBody(Phase.REQUEST, chunk) for chunk in chunks[:-1]]
    last = HttpBody(Phase.REQUEST, chunks[-1], end_of_stream=True)
    return [HttpHeaders(Phase.REQUEST, headers), *bodies, last]


def header_only(*headers: tuple[str, str]) -> list[Message]:
    return [HttpHeaders(Phase.REQUEST, headers, end_of_stream=True)]


def response_only(headers: HeaderList, *chunks: bytes, trailers: bool = False) -> list[Message]:
    """An answer without a request phase at all."""
    bodies = [HttpBody(Phase.RESPONSE, chunk) for chunk in chunks[:-1]]
    last = HttpBody(Phase.RESPONSE, chunks[-1], end_of_stream=not trailers)
    end: list[Message] = [HttpTrailers(Phase.RESPONSE)] if trailers else []
    return [HttpHeaders(Phase.RESPONSE, headers), *bodies, last, *end]


def destination(endpoint: str, *added: tuple[str, str], removed: Sequence[str] = ()) -> HeadersAnswer:
    return HeadersAnswer(
        Phase.REQUEST,
        HeaderMutation(((DESTINATION, endpoint), *added), tuple(removed)),
        clear_route_cache=True,
        dynamic_metadata={"envoy.lb": {DESTINATION: endpoint}},
    )


def route(endpoint: str, model: str, prompt: str) -> list[Answer]:
    body = body_for(model, prompt)
    length, wanted = ("Content-Length", str(len(body))), ("endpoint-load-metrics-format", "TEXT")
    return [
        destination(endpoint, length, wanted, removed=(OBJECTIVE, MODEL_REWRITE)),
        StreamedBody(Phase.REQUEST, body, end_of_stream=True),
    ]


def immediate(status: int, kind: str, reason: str, message: str, retry: bool = False) -> list[Answer]:
    headers: HeaderList = (("content-type", "application/json"), ("x-inference-error-reason", reason))
    body = json.dumps({"error": {"message": message, "type": kind, "code": status}}, separators=(",", ":"))
    return [
        ImmediateResponse(
            status,
            (*headers, ("retry-after", "1")) if retry else headers,
            body.encode(),
            details=f"epp_{reason}",
        )
    ]


def answered(*chunks: bytes, trailers: bool = False) -> list[Answer]:
    """Each chunk is passed on at once; only the last one ends the body, unless trailers follow."""
    went = HeadersAnswer(Phase.RESPONSE, HeaderMutation((("x-went-into-resp-headers", "true"),)))
    pieces: list[Answer] = [StreamedBody(Phase.RESPONSE, chunk) for chunk in chunks[:-1]]
    pieces.append(StreamedBody(Phase.RESPONSE, chunks[-1], end_of_stream=not trailers))
    return [went, *pieces, *([TrailersAnswer(Phase.RESPONSE)] if trailers else [])]


@dataclass(frozen=True)
class Case:
    name: str
    said: list[Message]
    pods: list[LoadSample]
    answers: list[Answer]
    counted: dict[tuple[str, str, int], int] = field(default_factory=dict)  # (model, target, priority) -> n
    config: str = TEXT
    differs: str = ""  # why, beside what every row has

    def __str__(self) -> str:
        return self.name


IDLE_SECOND = [pod(3, 0.2), pod(0, 0.1), pod(10, 0.2)]
TARGET_ON_SECOND = [pod(0, 0.2, "foo"), pod(0, 0.1, "foo", "sql-lora-1fdg2"), pod(10, 0.2, "foo")]
UNAVAILABLE = "failed to find endpoint candidates for serving the request"
JSON_BODY, EVENTS = (
    (("content-type", "application/json"),),
    (("content-type", "text/event-stream"), (":status", "200")),
)
CHUNKS = (b'data: {"id": 1}\n\n', b'data: {"id": 2, "usage": {"prompt_tokens": 7}}\n\n', b"data: [DONE]\n\n")

CASES = [
    Case(
        "select lower queue and kv cache",
        llm("test1", "my-model", "my-model-12345"),
        IDLE_SECOND,
        route("192.168.1.2:8000", "my-model-12345", "test1"),
        {("my-model", "my-model-12345", 2): 1},
    ),
    Case(
        "select active lora, low queue",
        llm("test2", "sql-lora", "sql-lora-1fdg2"),
        [pod(0, 0.2, "foo", "bar"), pod(0, 0.1, "foo", "sql-lora-1fdg2"), pod(10, 0.2, "foo", "bar")],
        route("192.168.1.2:8000", "sql-lora-1fdg2", "test2"),
        {("sql-lora", "sql-lora-1fdg2", 2): 1},
    ),
    Case(
        "no backend pods available",
        header_only(("content-type", "application/json")),
        [],
        immediate(503, "service_unavailable_error", "no_endpoint", UNAVAILABLE, retry=True),
        differs=NOT_500,
    ),
    Case(
        "request missing model field",
        raw(JSON_BODY, b'{"prompt":"hello world"}'),
        [],
        immediate(400, "invalid_request_error", "no_model", "model not found in request body"),
    ),
    Case(
        "passthrough parser",
        raw(
            (("hi", "mom"), ("x-request-id", "test-request-id"), (OBJECTIVE, "my-model")),
            b"passthrough-parser",
        ),
        IDLE_SECOND,
        [
            destination(
                "192.168.1.2:8000",
                ("Content-Length", "18"),
                ("endpoint-load-metrics-format", "TEXT"),
                removed=(OBJECTIVE,),
            ),
            StreamedBody(Phase.REQUEST, b"passthrough-parser", end_of_stream=True),
        ],
        {("", "", 2): 1},
        config=PASSTHROUGH,
    ),
    Case(
        "do not shed by default",
        llm("test4", "sql-lora", "sql-lora-1fdg2"),
        [pod(6, 0.2, "foo", "bar", "sql-lora-1fdg2"), pod(0, 0.85, "foo"), pod(10, 0.9, "foo")],
        route("192.168.1.1:8000", "sql-lora-1fdg2", "test4"),
        {("sql-lora", "sql-lora-1fdg2", 2): 1},
    ),
    Case(
        "invalid json",
        raw((("hi", "mom"),), b"no healthy upstream"),
        [pod(0, 0.2)],
        immediate(
            400,
            "invalid_request_error",
            "bad_json",
            "error unmarshaling request body: JSON is malformed: invalid character (byte 4)",
        ),
        differs=GOS_WORDS,
    ),
    Case(
        "subset best",
        subset("test2", "sql-lora", "sql-lora-1fdg2", *(f"192.168.1.{n}:8000" for n in (1, 2, 3))),
        TARGET_ON_SECOND,
        route("192.168.1.2:8000", "sql-lora-1fdg2", "test2"),
        {("sql-lora", "sql-lora-1fdg2", 2): 1},
    ),
    Case(
        "subset none",
        subset("test2", "sql-lora", "sql-lora-1fdg2", "192.168.1.99:8000"),
        TARGET_ON_SECOND[:2],
        immediate(503, "service_unavailable_error", "no_endpoint", UNAVAILABLE, retry=True),
    ),
    Case(
        "rewrite request model",
        llm("test-rewrite", "model-to-be-rewritten", "model-to-be-rewritten"),
        [pod(0, 0.1, "foo", "rewritten-model")],
        route("192.168.1.1:8000", "rewritten-model", "test-rewrite"),
        {("model-to-be-rewritten", "rewritten-model", 0): 1},
    ),
    Case(
        "simple GET",
        header_only(("content-type", "application/json"), ("status", "200"), ("x-request-id", "r")),
        [pod(0, 0, "foo")],
        [destination("192.168.1.1:8000", ("endpoint-load-metrics-format", "TEXT"))],
        differs=SCHEDULED,
    ),
    # The suite's answers without a request phase, by the shapes that its helpers build.
    Case(
        "buffered response",
        response_only(JSON_BODY, b'{"max_tokens":100,', b'"model":"sql-lora-1fdg2"}'),
        [],
        answered(b'{"max_tokens":100,', b'"model":"sql-lora-1fdg2"}'),
        differs=f"{NOT_ECHOED}; chunks are passed on as they come and never collected",
    ),
    Case(
        "streaming response",
        response_only(EVENTS, *CHUNKS),
        [],
        answered(*CHUNKS),
        differs=NOT_ECHOED,
    ),
    Case(
        "response that trailers end",
        response_only((("content-type", "application/grpc"),), b"frame", trailers=True),
        [],
        answered(b"frame", trailers=True),
        differs=NOT_ECHOED,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    picker = Picker(
        *case.pods,
        objectives=OBJECTIVES,
        rewrites=REWRITES,
        config=load_picker_config(case.config, "picker.yaml", OWN_TYPES),
    )
    conversation = picker.conversation()
    answers = [answer for message in case.said for answer in at_once(conversation.receive(message))]
    assert answers == case.answers
    totals = {
        f'inference_objective_request_total{{model_name="{model}",target_model_name="{target}",'
        f'priority="{priority}"}}': count
        for (model, target, priority), count in case.counted.items()
    }
    assert {name: n for name, n in picker.samples().items() if "request_total" in name} == totals
    conversation.close()
    assert picker.held == 0
