"""The ext_proc method: drives one conversation over one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from epp.transport.calls import Call, Method
from epp.wire.codec import decode_request, encode_answer
from epp.wire.messages import Answer, Message

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"


class Conversation(Protocol):
    """What the method needs of `epp.conversation.Conversation`."""

    @property
    def ended(self) -> bool:
        """Whether the last answers end the stream, as an immediate response does: nothing may follow them."""

    async def receive(self, message: Message) -> Sequence[Answer]:
        """The answers that this message makes possible; raises ProtocolError."""

    def close(self) -> None:
        """Give back everything that the request took; may be called again."""


def ext_proc_methods(open_conversation: Callable[[], Conversation]) -> dict[str, Method]:
    """The methods of the service by path. Each call has its own conversation, closed however it ends."""

    async def process(call: Call) -> None:
        conversation = open_conversation()
        try:
            while not conversation.ended and (data := await call.read()) is not None:
                answers = await conversation.receive(decode_request(data))
                if answers:
                    await call.write([encode_answer(answer) for answer in answers])
        finally:
            conversation.close()

    return {f"/{SERVICE}/Process": process}
