"""A request's body, read in one pass over its bytes.

Only the fields that matter to a picker are looked at, and the big ones (prompt, messages, tools) stay
undecoded views of the body.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import Raw

from epp.errors import BadRequestError, UnknownPathError
from epp.parse.cut import split_cut_object
from epp.parse.shapes import Fields, Shape, is_given, is_literal, shape_of
from epp.parse.tokens import TOKENS_PER_MEDIUM, count_token_ids, estimate_tokens, find_media
from epp.types import Api, ParsedBody, Prompt

# Longest number of output tokens that is believed: ten digits, far over any context length.
_MAX_DIGITS = 10

_QUOTE = ord('"')

_decoder = msgspec.json.Decoder(Fields)


def parse_body(path: str, body: bytes, *, strict_paths: bool = False, complete: bool = True) -> ParsedBody:
    """What `body`, sent to `path`, asks for.

    Not `complete`: `body` is the first part of a longer one. Then its shape is not checked, the prompt is
    what has come of it, and the model may be "".
    Raises BadRequestError (`bad_json`, `bad_shape`, `no_model`; never with content of the body in its
    message) and, with `strict_paths`, UnknownPathError.
    """
    shape = shape_of(path)
    if strict_paths and shape.api is Api.OTHER:
        raise UnknownPathError("no inference API has this path")
    if not complete:
        return _parse_part(shape, body)
    fields = _decode(body)
    if not shape.valid(fields):
        raise BadRequestError(shape.fault, reason="bad_shape")
    model = _text(fields.model)
    if not model:
        raise BadRequestError("model not found in request body", reason="no_model")
    return _parsed(shape, body, fields, model, _prompt(shape, body, fields))


def _parse_part(shape: Shape, part: bytes) -> ParsedBody:
    whole, cut_name, cut_value = split_cut_object(part)
    fields = _decode(whole)
    prompt = _prompt(shape, whole, fields)
    if cut_name in shape.prompt and cut_value:
        text = cut_value[1:] if cut_value[0] == _QUOTE else cut_value
        tokens = prompt.tokens + estimate_tokens(len(text))
        prompt = msgspec.structs.replace(prompt, parts=(*prompt.parts, text), tokens=tokens)
    return _parsed(shape, whole, fields, _text(fields.model), prompt)


def _parsed(shape: Shape, body: bytes, fields: Fields, model: str, prompt: Prompt) -> ParsedBody:
    return ParsedBody(
        api=shape.api,
        model=model,
        model_span=_span(body, fields.model) if model else (0, 0),
        stream=is_literal(fields.stream, b"true"),
        max_tokens=_max_tokens(fields),
        prompt=prompt,
    )


def _decode(body: bytes) -> Fields:
    try:
        return _decoder.decode(body)
    except RecursionError:
        raise _bad_json("nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _bad_json(str(error)) from None  # says what was expected and where, with nothing of the body


def _text(value: Raw) -> str:
    """A JSON string's text; "" for any other value."""
    try:
        return msgspec.json.decode(value, type=str)
    except UnicodeDecodeError:
        raise _bad_json("not UTF-8") from None
    except msgspec.DecodeError:
        return ""


def _bad_json(fault: str) -> BadRequestError:
    return BadRequestError(f"error unmarshaling request body: {fault}", reason="bad_json")


def _span(body: bytes, value: Raw) -> tuple[int, int]:
    # msgspec's view says where it starts only by its address.
    start = _address(value) - _address(body)
    return start, start + len(memoryview(value))


def _address(buffer: bytes | Raw) -> int:
    return np.frombuffer(buffer, np.uint8).ctypes.data


def _max_tokens(fields: Fields) -> int | None:
    for value in (fields.max_completion_tokens, fields.max_tokens, fields.max_output_tokens):
        digits = bytes(memoryview(value)[: _MAX_DIGITS + 1])
        if digits.isdigit() and len(digits) <= _MAX_DIGITS:
            return int(digits)
    return None


def _prompt(shape: Shape, body: bytes, fields: Fields) -> Prompt:
    parts = []
    text_size = ids = 0
    has_objects = False
    for name in shape.prompt:
        value = getattr(fields, name)
        if not is_given(value):
            continue
        part = memoryview(value)
        if part[0] == _QUOTE:
            part = part[1:-1]
            text_size += len(part)
        elif (number := count_token_ids(part)) is not None:
            ids += number
        else:
            text_size += len(part)
            has_objects = True
        if part:
            parts.append(part)
    media, media_size = find_media(body, shape.api) if has_objects else (0, 0)
    tokens = ids + estimate_tokens(max(0, text_size - media_size)) + media * TOKENS_PER_MEDIUM
    salt = _text(fields.cache_salt) if is_given(fields.cache_salt) else ""
    return Prompt(tuple(parts), tokens, salt)
