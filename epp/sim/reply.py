"""The answer to one request while the engine makes it: collected, or written out token by token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import xxhash

from epp.sim import tokens
from epp.sim.answers import Answer, TokenUsage
from epp.sim.bodies import Ask
from epp.sim.sequence import Sequence


class Choice:
    """One of the texts of a reply. The text is known beforehand; what takes time is saying it."""

    def __init__(self, reply: Reply, index: int, prompt: bytes, output_tokens: int) -> None:
        self.id = f"{reply.answer.id}-{index}"
        self.prompt = prompt
        self.sequence: Sequence | None = None  # once it was submitted
        self._reply = reply
        self._index = index
        self.text = tokens.output_text(xxhash.xxh64_intdigest(prompt) + index, output_tokens)

    @property
    def usage(self) -> TokenUsage:
        """The token counts so far."""
        sequence = self.sequence
        assert sequence is not None
        return TokenUsage(sequence.request.prompt_tokens, sequence.produced, sequence.cached_tokens)

    def on_token(self, sequence: Sequence) -> None:
        """The engine has made the next token of this choice."""
        end = sequence.produced * tokens.TOKEN_BYTES
        word = self.text[end - tokens.TOKEN_BYTES : end]
        self._reply.on_token(self, self._index, word, first=sequence.produced == 1, last=sequence.finished)


class Reply:
    """Waits in `done` for the last token of every choice; `write` gets the events of a streamed answer."""

    def __init__(self, ask: Ask, answer: Answer, write: Callable[[bytes], None] | None) -> None:
        self.answer = answer
        self.done = asyncio.get_running_loop().create_future()
        self._ask = ask
        self._write = write
        prompts = [prompt for prompt in ask.prompts for _ in range(ask.n)]
        self.choices = [
            Choice(self, index, prompt, ask.output_tokens) for index, prompt in enumerate(prompts)
        ]
        self._unfinished = len(prompts)

    @property
    def usage(self) -> TokenUsage:
        """The token counts of all choices; a prompt that is answered several times counts once."""
        usages = [choice.usage for choice in self.choices]
        prompts = usages[:: self._ask.n]
        return TokenUsage(
            prompt=sum(usage.prompt for usage in prompts),
            completion=sum(usage.completion for usage in usages),
            cached=sum(usage.cached for usage in prompts),
        )

    @property
    def texts(self) -> list[str]:
        """The whole text of every choice."""
        return [choice.text for choice in self.choices]

    def on_token(self, choice: Choice, index: int, word: str, first: bool, last: bool) -> None:
        """`choice` has got one more token."""
        if self._write is not None:
            if first:
                self._write(self.answer.opening(index))
            usage = choice.usage if self._ask.continuous_usage else None
            self._write(self.answer.token(index, word, last, usage))
        if last:
            self._unfinished -= 1
            if not self._unfinished and not self.done.done():
                self.done.set_result(None)

    def closing(self) -> bytes:
        """The events after the last token of a streamed answer."""
        return self.answer.closing(self.texts, self.usage, self._ask.include_usage)
