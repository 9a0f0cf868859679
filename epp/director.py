"""The main path of a request, and giving back what it took.

`place` is the whole story: read the request, see who may serve it, admit it, choose, reserve. What it takes
is in the `Placement` that it returns, and `finish` gives it back, whatever ended the stream.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epp.datastore.endpoints import Endpoint
from epp.datastore.store import Datastore
from epp.errors import NoEndpointError, RequestError
from epp.extproc.exchange import Place
from epp.extproc.names import destination_metadata, read_subset
from epp.logs import FaultLog
from epp.metrics import Metrics
from epp.parse.headers import CONTROL_HEADERS, REQUEST_ID, read_controls
from epp.parse.model_name import replace_model
from epp.parse.request import model_span
from epp.placement import Placement
from epp.placer import Placer
from epp.scheduling.decision import KEPT_CHARACTERS, Decision, DecisionLog
from epp.scheduling.explain import endpoint_scores
from epp.scheduling.policy import Policy
from epp.scrape import load_header
from epp.types import Api, InferenceRequest, LoadSample, ParsedBody
from epp.wire.messages import HeaderList, HeaderMutation, MetadataMap

_log = logging.getLogger(__name__)

# Where the path stands without Envoy's pseudo header: what proxies leave of it, in the reference's order.
_PATH_HEADERS = ("x-original-path", "x-forwarded-path")

# The body-based router's word for the model: all there is where the body is not seen before placing.
_MODEL_HEADER = "x-gateway-model-name"

_CONTROL_HEADERS = frozenset(CONTROL_HEADERS)
_ASKS_LOAD: HeaderList = ((load_header.REQUEST_HEADER, "TEXT"),)


@dataclass(frozen=True, slots=True)
class DirectorSettings:
    """What the flags say about requests."""

    strict_paths: bool = False
    ignore_subset: bool = False
    emit_endpoint_scores: bool = False


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom the director tells of news, with the time of the clock: the poller, which goes by both."""

    request_came: Callable[[float], object]
    # An answer of the named endpoint carried its load; returns the seconds until more is expected.
    load_came: Callable[[str, float], float]


class Director:
    """Places requests on endpoints."""

    def __init__(
        self,
        store: Datastore,
        policy: Policy,
        decisions: DecisionLog,
        metrics: Metrics,
        listeners: Listeners,
        settings: DirectorSettings,
        *,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._store = store
        self._decisions = decisions
        self.metrics = metrics
        self.faults = FaultLog(_log)
        self._listeners = listeners
        self._settings = settings
        self._rng = rng
        self.clock = clock
        self.use(policy)

    def use(self, policy: Policy) -> None:
        """Requests are placed by `policy` from now on; those that are placed already go on."""
        self._placer = Placer(self._store, policy, self._rng)
        self._parser = policy.parser
        self._observers = policy.observers

    async def place(self, asked: Place, received_at: float) -> Placement:
        """Finds the request an endpoint and reserves it. Raises RequestError if it cannot have one."""
        started = self.clock()
        self._listeners.request_came(started)
        request: InferenceRequest | None = None
        try:
            request = self._read(asked, received_at)
            decision = self._decide(request)
        except RequestError as error:
            self.refused(error, request)
            raise
        placement = self._take(asked, request, decision)
        self.metrics.decision(self.clock() - started)
        return placement

    def refused(self, error: RequestError, request: InferenceRequest | None = None) -> None:
        """Counts a request that gets an error; `request` as far as it was read."""
        model, target = (request.body.model, request.target_model) if request else ("", "")
        self.metrics.request_refused(model, target, error.code, error.reason)
        if _log.isEnabledFor(logging.DEBUG):
            _log_request("refused", request, reason=error.reason)

    def finish(self, placement: Placement) -> None:
        """The request is over, however it ended: gives back what it took and counts it. Idempotent."""
        if placement.finished:
            return
        placement.finished = True
        placement.give_back()
        request, outcome = placement.request, placement.outcome
        self.metrics.body_passed("response", outcome.response_bytes)
        if _is_counted(request):
            self.metrics.response_ended(
                request.body.model,
                request.target_model,
                status=outcome.status,
                complete=outcome.complete,
                duration=self.clock() - request.received_at,
                response_bytes=outcome.response_bytes,
                usage=outcome.usage,
                ttft=_first_piece_after(placement),
            )
        if _log.isEnabledFor(logging.DEBUG):
            _log_request("ended", request, status=outcome.status, complete=outcome.complete)

    # Reading ---------------------------------------------------------------------------------------------

    def _read(self, asked: Place, received_at: float) -> InferenceRequest:
        headers = dict(asked.headers)
        path = headers.get(":path") or _other_path(headers)
        controls = read_controls(headers)
        body = self._read_body(asked, path, headers)
        return InferenceRequest(
            id=controls.request_id or str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            path=path,
            headers=headers,
            body=body,
            controls=controls,
            target_model=self._target_model(body, controls.model_rewrite),
            priority=self._store.priority(controls.objective, body.model),
            subset=None if self._settings.ignore_subset else read_subset(asked.metadata),
            size=len(asked.body or b""),
            received_at=received_at,
        )

    def _read_body(self, asked: Place, path: str, headers: dict[str, str]) -> ParsedBody:
        if asked.body is None:
            return ParsedBody(Api.NONE, model=headers.get(_MODEL_HEADER, ""))
        return self._parser.parse(
            path, asked.body, strict_paths=self._settings.strict_paths, complete=asked.complete
        )

    def _target_model(self, body: ParsedBody, asked: str) -> str:
        if not body.model or body.api is Api.NONE:  # a body that is not seen goes on as it is
            return body.model
        rewrite = self._store.rewrite(body.model, self._rng)
        if rewrite is None:
            return asked or body.model
        rule, target = rewrite
        self.metrics.model_rewritten(rule.name, body.model, target)
        return target

    # Deciding --------------------------------------------------------------------------------------------

    def _decide(self, request: InferenceRequest) -> Decision:
        started = self.clock()
        try:
            decision = self._placer.decide(request, started)
        except NoEndpointError:
            self.metrics.scheduling_failed(request.target_model)
            raise
        self.metrics.scheduled(request.target_model, decision.picked[0].spec, self.clock() - started)
        return decision

    def _take(self, asked: Place, request: InferenceRequest, decision: Decision) -> Placement:
        mutation = _request_mutation(request, decision)
        body = _request_body(asked, request)
        self._decisions.add(request, decision)
        if _log.isEnabledFor(logging.DEBUG):
            _log_request("placed", request, destination=decision.destination)
        if _is_counted(request):
            self.metrics.request_placed(
                request.body.model, request.target_model, request.priority, request.size
            )
        self.metrics.body_passed("request", request.size)
        metadata, usage_reader = self._metadata(decision), self._parser.usage_reader()
        return Placement(
            request,
            decision,
            self._placer.take(request, decision),
            metadata=metadata,
            observers=self._observers,
            usage_reader=usage_reader,
            request_mutation=mutation,
            request_body=body,
            clock=self.clock,
            on_load=self._answered,
            on_ended=self.finish,
        )

    def _metadata(self, decision: Decision) -> MetadataMap:
        scores = endpoint_scores(decision) if self._settings.emit_endpoint_scores else None
        return destination_metadata(decision.destination, scores)

    def _answered(self, endpoint: Endpoint, sample: LoadSample) -> None:
        now = self.clock()
        if endpoint.slot >= 0:
            self._store.answered(endpoint, sample, self._listeners.load_came(endpoint.spec.name, now), now)


def _first_piece_after(placement: Placement) -> float | None:
    """Seconds from a request's headers to the first piece of its answer; None unless that is a stream."""
    outcome = placement.outcome
    if not outcome.streams or outcome.first_piece_at is None:
        return None
    return outcome.first_piece_at - placement.request.received_at


def _is_counted(request: InferenceRequest) -> bool:
    # The reference's metrics know requests with a body that it has read.
    return request.body.api is not Api.NONE


def _log_request(event: str, request: InferenceRequest | None, **fields: object) -> None:
    """A line per request, which only `-v 3` asks for."""
    if request is not None:
        request_id, model = request.id[:KEPT_CHARACTERS], request.body.model[:KEPT_CHARACTERS]
        fields = {"request_id": request_id, "model": model, **fields}
    _log.debug(event, extra={"fields": fields})


def _other_path(headers: Mapping[str, str]) -> str:
    return next((headers[name] for name in _PATH_HEADERS if headers.get(name)), "")


def _request_mutation(request: InferenceRequest, decision: Decision) -> HeaderMutation:
    headers = request.headers
    added: HeaderList = decision.headers
    if not request.controls.request_id:
        added += ((REQUEST_ID, request.id),)
    if load_header.REQUEST_HEADER not in headers:
        added += _ASKS_LOAD
    if _CONTROL_HEADERS.isdisjoint(headers):
        return HeaderMutation(added)
    return HeaderMutation(added, tuple([name for name in CONTROL_HEADERS if name in headers]))


def _request_body(asked: Place, request: InferenceRequest) -> bytes | None:
    """The body with the target model's name; None where it stays as it came."""
    if asked.body is None or request.target_model == request.body.model:
        return None
    span = model_span(asked.body, complete=asked.complete)
    return replace_model(asked.body, span, request.target_model)
