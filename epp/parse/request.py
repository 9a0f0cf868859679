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
from epp.parse.shapes import ABSENT, Fields, Shape, is_literal, shape_of
from epp.parse.tokens import TOKENS_PER_MEDIUM, count_token_ids, estimate_tokens, find_media
from epp.types import Api, ParsedBody, Prompt

# Longest number of output tokens that is believed: ten digits, far over any context length.
_MAX_DIGITS = 10

_QUOTE = ord('"')

_NULL = b"null"

_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_text = msgspec.json.Decoder(str).decode


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
    return _parsed(shape, fields, model, _prompt(shape, body, fields))


def _parse_part(shape: Shape, part: bytes) -> ParsedBody:
    whole, cut_name, cut_value = split_cut_object(part)
    fields = _decode(whole)
    prompt = _prompt(shape, whole, fields)
    if cut_name in shape.prompt and cut_value:
        text = cut_value[1:] if cut_value[0] == _QUOTE else cut_value
        tokens = prompt.tokens + estimate_tokens(len(text))
        prompt = msgspec.structs.replace(prompt, parts=(*prompt.parts, text), tokens=tokens)
    return _parsed(shape, fields, _text(fields.model), prompt)


def _parsed(shape: Shape, fields: Fields, model: str, prompt: Prompt) -> ParsedBody:
    stream = fields.stream
    return ParsedBody(
        shape.api,
        model,
        stream is not ABSENT and is_literal(stream, b"true"),
        _max_tokens(fields),
        prompt,
    )


def model_span(body: bytes, *, complete: bool = True) -> tuple[int, int]:
    """[start, end) of the JSON string of the model in a body that was read, quotes included.

    Found in a second pass over the bytes, because few requests have their model rewritten.
    """
    whole = body if complete else split_cut_object(body)[0]
    model = _decode(whole).model
    # msgspec's view says where it starts only by its address.
    start = _address(model) - _address(whole)
    return start, start + len(memoryview(model))


def _address(buffer: bytes | Raw) -> int:
    return np.frombuffer(buffer, np.uint8).ctypes.data


def _decode(body: bytes) -> Fields:
    try:
        return _decode_fields(body)
    except RecursionError:
        raise _bad_json("nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _bad_json(str(error)) from None  # says what was expected and where, with nothing of the body


def _text(value: Raw) -> str:
    """A JSON string's text; "" for any other value."""
    try:
        return _decode_text(value)
    except UnicodeDecodeError:
        raise _bad_json("not UTF-8") from None
    except msgspec.DecodeError:
        return ""


def _bad_json(fault: str) -> BadRequestError:
    return BadRequestError(f"error unmarshaling request body: {fault}", reason="bad_json")


def _max_tokens(fields: Fields) -> int | None:
    for value in (fields.max_completion_tokens, fields.max_tokens, fields.max_output_tokens):
        if value is not ABSENT:
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
        if value is ABSENT:
            continue
        part = memoryview(value)
        if part[0] == _QUOTE:
            part = part[1:-1]
            text_size += len(part)
        elif part == _NULL:
            continue
        elif (number := count_token_ids(part)) is not None:
            ids += number
        else:
            text_size += len(part)
            has_objects = True
        if part:
            parts.append(part)
    tokens = ids
    if has_objects:
        media, media_size = find_media(body, shape.api)
        tokens += media * TOKENS_PER_MEDIUM
        text_size = max(0, text_size - media_size)
    salt = fields.cache_salt
    return Prompt(tuple(parts), tokens + estimate_tokens(text_size), "" if salt is ABSENT else _text(salt))
