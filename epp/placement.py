"""A placed request: what Envoy is told of it, and what its answer tells us, until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from epp.datastore.endpoints import Endpoint
from epp.datastore.store import Reservation
from epp.extproc.names import read_served
from epp.parse.headers import EXPLAIN
from epp.parse.model_name import ModelNameRestorer
from epp.plugin import Response, UsageReader
from epp.scheduling.decision import Decision
from epp.scheduling.explain import compact
from epp.scheduling.observers import Observers
from epp.scrape import load_header
from epp.types import InferenceRequest, LoadSample, Usage
from epp.wire.messages import NO_METADATA, NO_MUTATION, Context, HeaderList, HeaderMutation, MetadataMap

_STATUS_DIGITS = 3  # of an HTTP status (RFC 9110, section 15)

_TAKE_LOAD_OUT = HeaderMutation(remove=(load_header.RESPONSE_HEADER,))


@dataclass(slots=True)
class Outcome:
    """What is known of an answer; `status` 0: none came."""

    status: int = 0
    response_bytes: int = 0
    usage: Usage | None = None
    complete: bool = False
    streams: bool = False  # a stream of events, whose first piece is worth a time
    first_piece_at: float | None = None  # by the picker's clock, seconds


class Placement:
    """One request on its endpoint; the stream's `Exchange`.

    `on_load` is told the load that an answer carries, `on_ended` that the answer is complete; `observers` are
    the plugins that see answers, `usage_reader` what finds the tokens in them.
    """

    def __init__(
        self,
        request: InferenceRequest,
        decision: Decision,
        reservation: Reservation,
        *,
        metadata: MetadataMap,
        observers: Observers,
        usage_reader: UsageReader | None,
        request_mutation: HeaderMutation,
        request_body: bytes | None,
        clock: Callable[[], float],
        on_load: Callable[[Endpoint, LoadSample], None],
        on_ended: Callable[[Placement], None],
    ) -> None:
        self.request = request
        self.reservation = reservation
        self.destination = decision.destination
        self.metadata = metadata
        self.request_mutation = request_mutation
        self.request_body = request_body
        self.outcome = Outcome()
        self.finished = False
        self._decision = decision
        self._observers = observers
        # An answer carries its load because this request asked for it, and not because its client did.
        self._asked_load = load_header.REQUEST_HEADER not in request.headers
        self._clock = clock
        self._on_load = on_load
        self._on_ended = on_ended
        self._usage_reader = usage_reader
        self._restorer: ModelNameRestorer | None = None
        if request.body.model and request.body.model != request.target_model:
            self._restorer = ModelNameRestorer(request.target_model, request.body.model)

    def __repr__(self) -> str:
        state = "finished" if self.finished else f"status={self.outcome.status}"
        return f"<Placement {self.request.id} on {self.destination} {state}>"

    @property
    def rewrites_response(self) -> bool:
        """Whether the answer's model name is written back."""
        return self._restorer is not None

    def response_headers(self, headers: HeaderList, context: Context) -> HeaderMutation:
        """Reads status, server and load; takes the load out if the client did not ask for it."""
        by_name, outcome = dict(headers), self.outcome
        told = by_name.get
        status = told(":status", "")
        outcome.status = int(status) if len(status) == _STATUS_DIGITS and status.isdecimal() else 0
        if told("content-encoding", "identity") != "identity":
            self._usage_reader = self._restorer = None  # compressed bytes say nothing
        outcome.streams = told("content-type", "").startswith("text/event-stream")
        server = self._served_by(read_served(context.metadata, context.attributes))
        load = told(load_header.RESPONSE_HEADER)
        mutation = NO_MUTATION
        if load is not None:
            sample = load_header.parse_load_header(load)
            if sample is not None and server is not None:
                self._on_load(server, sample)
            if self._asked_load:
                mutation = _TAKE_LOAD_OUT
        if self._observers.see_responses or EXPLAIN in self.request.headers:
            added = self._added_headers(Response(server, by_name, context.metadata))
            mutation = HeaderMutation(added, mutation.remove)
        return mutation

    def _added_headers(self, response: Response) -> HeaderList:
        headers = self._observers.responded(self.request, response)
        if self.request.headers.get(EXPLAIN) == "1":
            headers += ((EXPLAIN, compact(self._decision)),)
        return headers

    def response_body(self, data: bytes, end: bool) -> bytes:
        """Counts tokens and writes the model's name back."""
        outcome = self.outcome
        if outcome.first_piece_at is None and data:
            now = outcome.first_piece_at = self._clock()
            if outcome.streams and self._observers.see_first_tokens:
                self._observers.first_token(self.request, self.reservation.endpoint, now)
        outcome.response_bytes += len(data)
        if self._usage_reader is not None:
            self._usage_reader.feed(data)
        return data if self._restorer is None else self._restorer.feed(data, end)

    def response_ended(self) -> MetadataMap:
        """The answer is complete: what the request held can be given back now."""
        self.outcome.complete = True
        if self._usage_reader is not None:
            self.outcome.usage = self._usage_reader.usage
        self._on_ended(self)
        usage = self.outcome.usage
        if usage is None or not self._observers.see_usage:
            return NO_METADATA
        return self._observers.used(self.request, usage)

    def give_back(self) -> None:
        """The request is over, however it ended."""
        self.reservation.release()
        if self._observers.see_ends:
            self._observers.ended(self.request, self.reservation.endpoint, self._clock())

    def _served_by(self, address: str) -> Endpoint | None:
        """The endpoint that answers, after Envoy's retries; the reservation follows it.

        The first one picked where the gateway does not say ("" for `address`). Envoy may go to one that was
        not picked, when it has tried those or does not know them; None if the pool had none of that address.
        """
        if not address:
            return self.reservation.endpoint
        for endpoint in chain(self._decision.picked, self._decision.roster):
            if endpoint is not None and endpoint.address == address:
                self.reservation.move(endpoint)
                return endpoint
        return None
