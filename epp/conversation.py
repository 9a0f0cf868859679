"""One ext_proc stream from first message to last: joins the state machine with the director.

This is all a transport has to know: it passes messages in, sends what comes back, and closes.
"""

from __future__ import annotations

from epp.director import Director
from epp.errors import RequestError
from epp.extproc.exchange import Place
from epp.extproc.stream import Stream
from epp.placement import Placement
from epp.wire.messages import Answer, Message


class Conversation:
    """The picker's side of one stream. Not to be used by two tasks at once."""

    def __init__(self, director: Director, max_request_bytes: int) -> None:
        self._director = director
        self._stream = Stream(max_request_bytes)
        self._opened_at = director.clock()
        self._placement: Placement | None = None
        self._closed = False
        self.ended = False  # whether the last answers end the stream: nothing may follow them
        director.metrics.stream_opened()

    def __repr__(self) -> str:
        return f"<Conversation {self._stream!r} {self._placement!r}>"

    async def receive(self, message: Message) -> list[Answer]:
        """One message from Envoy; the answers now due. Raises ProtocolError if it may not come now."""
        step = self._stream.receive(message)
        if isinstance(step, Place):
            return await self._place(step)
        if self._stream.refusal is not None and not self.ended:  # before the director was asked
            self.ended = True
            self._director.refused(self._stream.refusal)
        return step

    def close(self) -> None:
        """The stream is over, however it ended. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._placement is not None:
            self._director.finish(self._placement)
        self._director.metrics.stream_ended(self._outcome())

    def _outcome(self) -> str:
        if self.ended:
            return "refused"
        if self._placement is None:
            return "not placed"
        return "answered" if self._placement.outcome.complete else "cut off"

    async def _place(self, asked: Place) -> list[Answer]:
        try:
            self._placement = await self._director.place(asked, self._opened_at)
        except RequestError as error:
            return self._refused(error)
        except Exception as error:
            # A fault of ours must not leave Envoy waiting, nor end other streams.
            self._director.faults.report("placing a request", error)
            fault = RequestError("the endpoint picker failed to place the request")
            self._director.refused(fault)
            return self._refused(fault)
        answers = self._stream.placed(self._placement)
        self._placement.request_body = None  # it is in the answers, and the placement will live long
        return answers

    def _refused(self, error: RequestError) -> list[Answer]:
        answers = self._stream.refused(error)
        self.ended = self._stream.refusal is not None
        return answers
