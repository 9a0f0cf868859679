"""openai-parser, passthrough-parser and vllmgrpc-parser: what is read of requests and answers."""

from __future__ import annotations

from dataclasses import dataclass

from epp.parse.request import parse_body
from epp.parse.usage import UsageScanner
from epp.parse.vllm_grpc import VllmGrpcUsage, parse_vllm_grpc
from epp.plugin import UsageReader
from epp.types import Api, ParsedBody


@dataclass
class OpenaiParser:
    """Reads requests of the OpenAI and Anthropic APIs as vLLM serves them.

    Completions, chat, responses, messages, embeddings, score, rerank and vLLM's own inference/v1/generate, by
    the end of the path; other paths need a JSON object with a model. Counts the tokens of answers. It reads
    what llm-d's anthropic-parser and vllmhttp-parser read, and these names mean it.
    """

    def parse(
        self, path: str, body: bytes, *, strict_paths: bool = False, complete: bool = True
    ) -> ParsedBody:
        """See Parser."""
        return parse_body(path, body, strict_paths=strict_paths, complete=complete)

    def usage_reader(self) -> UsageReader:
        """See Parser."""
        return UsageScanner()


@dataclass
class PassthroughParser:
    """Reads nothing of requests and answers: endpoints are chosen by load, headers and metadata alone.

    There is no model, so nothing is rewritten, and no prompt, so no prefix is matched.
    """

    def parse(
        self, path: str, body: bytes, *, strict_paths: bool = False, complete: bool = True
    ) -> ParsedBody:
        """See Parser."""
        return ParsedBody(Api.OTHER)

    def usage_reader(self) -> UsageReader | None:
        """See Parser."""
        return None


@dataclass
class VllmgrpcParser:
    """Reads requests of vLLM's gRPC service: the prompt's text or token ids of Generate and Embed.

    Calls of other methods, compressed messages and bodies that are no such message are refused (400). They
    name no model, so nothing is rewritten. Counts the tokens of answers, where the reference's v1.5 does too.
    """

    def parse(
        self, path: str, body: bytes, *, strict_paths: bool = False, complete: bool = True
    ) -> ParsedBody:
        """See Parser."""
        return parse_vllm_grpc(path, body, complete=complete)

    def usage_reader(self) -> UsageReader:
        """See Parser."""
        return VllmGrpcUsage()
