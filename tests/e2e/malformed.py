"""A thousand ways to ask wrongly: bodies, headers, targets and framings, drawn from a seed.

Each is the bytes that a client sends on a connection of its own, and what it does after them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.e2e.asks import CHAT, COMPLETIONS, http_head
from tests.e2e.stack import ADAPTERS, BASE_MODEL

# Stands in every prompt and secret; nobody may write it down.
CANARY = "canary-7d1f"

PATHS = (COMPLETIONS, CHAT, "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/score", "/v1/rerank")

# Envoy's limits, which what is sent stays below: 60 KiB of headers, 100 of them.
HEADER_BYTES = 50_000
HEADERS = 80


class Then(Enum):
    """What the client does when it has sent its bytes."""

    READS = "reads the answer"
    SHUTS = "ends its half of the connection and reads the answer"
    RESETS = "resets the connection"


@dataclass(frozen=True, slots=True)
class Case:
    """One malformed exchange."""

    kind: str
    data: bytes
    then: Then = Then.READS


def cases(count: int, seed: int) -> Iterator[Case]:
    """So many, every kind as often as any other."""
    rng = Random(seed)
    makers = (*(_with_body(make) for make in _BODIES), *_HEADERS, *_TARGETS, *_FRAMINGS)
    for number in range(count):
        yield makers[number % len(makers)](rng)


# Bodies -----------------------------------------------------------------------------------------------------


def good_body(rng: Random) -> dict[str, object]:
    """What a body would be without a fault."""
    model = rng.choice((BASE_MODEL, *ADAPTERS))
    text = f"{CANARY} {rng.random()}"
    return {
        "model": model,
        "prompt": text,
        "messages": [{"role": "user", "content": text}],
        "input": text,
        "query": text,
        "documents": [text],
        "text_1": text,
        "text_2": text,
        "max_tokens": rng.randrange(1, 5),
        "stream": rng.random() < 0.5,
    }


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()


def _cut(rng: Random) -> bytes:
    body = _encode(good_body(rng))
    return body[: rng.randrange(len(body))]


def _flipped(rng: Random) -> bytes:
    body = bytearray(_encode(good_body(rng)))
    for _ in range(rng.randrange(1, 8)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return bytes(body)


def _noise(rng: Random) -> bytes:
    return rng.randbytes(rng.randrange(0, 3000))


def _no_object(rng: Random) -> bytes:
    return rng.choice(
        (b"", b" ", b"null", b"[]", b'""', b"0", b"true", b"\xef\xbb\xbf{}", b"{}", b"{}{}", b"\0")
    )


_ODD_VALUES: tuple[object, ...] = (
    *(None, True, 0, -1, 1e308, -(10**400), "", " ", "\0", "é\u2028", [], {}, [[]], [None], {"a": {}}),
    *([1, "a"], [[1, 2], [3]], [-1], [1.5], ["", ""], {"role": "user"}, [{"content": 7}], [{"role": []}]),
)


def _wrong_types(rng: Random) -> bytes:
    body = good_body(rng)
    for name in rng.sample(sorted(body), rng.randrange(1, 4)):
        body[name] = rng.choice(_ODD_VALUES)
    return _encode(body)


def _missing(rng: Random) -> bytes:
    body = good_body(rng)
    for name in rng.sample(sorted(body), rng.randrange(1, len(body))):
        del body[name]
    return _encode(body)


def _deep(rng: Random) -> bytes:
    depth = rng.choice((100, 1_000, 20_000, 200_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"role":', b"}]")))
    value = opening * depth + b"1" + closing * rng.choice((0, depth))
    return b'{"model": "%b", "%b": %b}' % (
        BASE_MODEL.encode(),
        rng.choice((b"prompt", b"messages", b"other", b"max_tokens")),
        value,
    )


def _not_utf8(rng: Random) -> bytes:
    place = rng.choice((BASE_MODEL, CANARY)).encode()
    bad = rng.choice(
        (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\\ud800", b"\\udc00x", b"\\u12")
    )
    return _encode(good_body(rng)).replace(place, place + bad)


def _numbers(rng: Random) -> bytes:
    number = rng.choice(
        (
            b"9" * 5000,
            b"1e999999",
            b"-0",
            b"1" + b"0" * 400,
            b"0.1e-99999",
            b"01",
            b"NaN",
            b"-Infinity",
            b"1.",
            b"+1",
        )
    )
    name = rng.choice(
        (b'"max_tokens"', b'"model"', b'"prompt"', b'"stream"', b'"n"', b'"max_completion_tokens"')
    )
    return b"{%b: %b, %b" % (name, number, _encode(good_body(rng))[1:])


def _keys(rng: Random) -> bytes:
    many = b",".join(b'"k%d": %d' % (number, number) for number in range(rng.choice((10, 10_000))))
    return b"{%b, %b: 1, %b" % (many, _encode("k" * rng.choice((1, 100_000))), _encode(good_body(rng))[1:])


def _model_names(rng: Random) -> bytes:
    names = (
        "x" * 100_000,
        "a\nb",
        '"; drop',
        "\u0000",
        "💥" * 50,
        "../../etc",
        "{}",
        str(rng.random()),
        "é" * 300,
    )
    return _encode({**good_body(rng), "model": rng.choice(names)})


def _prompts(rng: Random) -> bytes:
    prompt: object = rng.choice(
        (
            [rng.randrange(-5, 200_000) for _ in range(2000)],
            [[1, 2, 3], []],
            [[[1]]],
            ["a"] * 300,
            [""],
            "," * 50_000,
            "[" * 50_000,
            '"model": "not this one"',
            [1, [2]],
        )
    )
    return _encode({**good_body(rng), "prompt": prompt})


def _media(rng: Random) -> bytes:
    url = rng.choice(
        ("data:image/png;base64,", "data:;base64,AAAA", 'data:"\\";base64,', "http://10.0.0.1/" + CANARY)
    )
    part = rng.choice(
        (
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image_url", "image_url": url},
            {"type": "image", "source": {"type": "base64", "data": url}},
            {"type": 7},
        )
    )
    return _encode(
        {**good_body(rng), "messages": [{"role": "user", "content": [part] * rng.choice((1, 2000))}]}
    )


def _options(rng: Random) -> bytes:
    odd = {
        "stream_options": rng.choice(_ODD_VALUES),
        "n": rng.choice(_ODD_VALUES),
        "tools": rng.choice(_ODD_VALUES),
    }
    return _encode({**good_body(rng), **odd, "cache_salt": rng.choice(_ODD_VALUES)})


def _compressed(rng: Random) -> bytes:
    return gzip.compress(_encode(good_body(rng)))


_BODIES = (
    *(_cut, _flipped, _noise, _no_object, _wrong_types, _missing, _deep, _not_utf8, _numbers, _keys),
    *(_model_names, _prompts, _media, _options, _compressed),
)


_COMMON = ("host: here", "connection: close", f"authorization: Bearer {CANARY}")


def _post(rng: Random, body: bytes, *headers: str, path: str = "") -> bytes:
    """One whole POST."""
    target = path or rng.choice(PATHS)
    lines = [f"POST {target} HTTP/1.1", *_COMMON, *headers]
    return http_head([*lines, f"content-length: {len(body)}"]) + body


def _with_body(make: Callable[[Random], bytes]) -> Callable[[Random], Case]:
    return lambda rng: Case(f"body {make.__name__.strip('_')}", _post(rng, make(rng)))


# Headers ----------------------------------------------------------------------------------------------------

_CONTROLS = (
    *("x-gateway-inference-objective", "x-gateway-inference-fairness-id", "x-gateway-model-name-rewrite"),
    *(
        "x-slo-ttft-ms",
        "x-slo-tpot-ms",
        "x-request-id",
        "endpoint-load-metrics-format",
        "x-gateway-model-name",
    ),
    *("x-gateway-destination-endpoint", "x-gateway-destination-endpoint-subset", "x-original-path"),
)


def _control_values(rng: Random) -> Case:
    values = (
        "",
        " ",
        "nan",
        "-1",
        "1e999",
        "9" * 4000,
        "é",
        "\xff\xfe",
        '"',
        "a,b,,c",
        "\\",
        "%00",
        "../",
        "💥",
        "{}",
    )
    headers = [f"{name}: {rng.choice(values)}" for name in rng.choices(_CONTROLS, k=6)]
    return Case("header control", _post(rng, _encode(good_body(rng)), *headers))


def _bomb(rng: Random) -> Case:
    count = rng.choice((1, HEADERS))
    headers = [f"x-bomb-{number}: {'b' * (HEADER_BYTES // count - 20)}" for number in range(count)]
    return Case("header bomb", _post(rng, _encode(good_body(rng)), *headers))


def _repeated(rng: Random) -> Case:
    name = rng.choice((*_CONTROLS, "cookie", "content-type", "te", "via", "accept"))
    headers = [f"{name}: {number}" for number in range(rng.randrange(2, HEADERS))]
    return Case("header repeated", _post(rng, _encode(good_body(rng)), *headers))


def _content_headers(rng: Random) -> Case:
    values = (
        "",
        "text/plain",
        "gzip",
        "application/json; charset=latin-9",
        "multipart/form-data",
        "x" * 1000,
    )
    names = (
        "content-type",
        "content-encoding",
        "accept",
        "accept-encoding",
        "expect",
        "content-language",
        "te",
    )
    headers = [f"{name}: {rng.choice(values)}" for name in rng.sample(names, 3)]
    return Case("header content", _post(rng, _encode(good_body(rng)), *headers))


def _broken_header(rng: Random) -> Case:
    line = rng.choice(
        (
            "no colon",
            ": no name",
            "sp ace: 1",
            "x\0: 1",
            "x: \0",
            "x: 1\n y: 2",
            "é: 1",
            "transfer-encoding: x",
        )
    )
    return Case("header broken", _post(rng, _encode(good_body(rng)), line))


_HEADERS = (_control_values, _bomb, _repeated, _content_headers, _broken_header)


# Methods and paths ------------------------------------------------------------------------------------------


def _odd_path(rng: Random) -> Case:
    paths = (
        *("//", "/v1//completions", "/v1/completions/", "/v1/completions?" + "q" * 5000, "/" + "p" * 8000),
        *("/%00", "/%ff%fe", "/v1/completions#x", "/v1/../v1/completions", "/completions", "/v1/COMPLETIONS"),
        *(
            "*",
            "no-slash",
            "http://other/v1/completions",
            "/v1/completions\\",
            "/\u00e9",
            "/?",
            "/v1/unknown",
        ),
    )
    return Case("path", _post(rng, _encode(good_body(rng)), path=rng.choice(paths)))


def _odd_method(rng: Random) -> Case:
    method = rng.choice(
        ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "FOO", "get", "")
    )
    body = rng.choice((b"", _encode(good_body(rng))))
    return Case(f"method {method}", _post(rng, body).replace(b"POST", method.encode(), 1))


def _odd_version(rng: Random) -> Case:
    version = rng.choice((b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.9", b"HTTP", b""))
    return Case("version", _post(rng, _encode(good_body(rng))).replace(b"HTTP/1.1", version, 1))


_TARGETS = (_odd_path, _odd_method, _odd_version)


# Framing ----------------------------------------------------------------------------------------------------


def _too_short(rng: Random) -> Case:
    body = _encode(good_body(rng))
    missing = rng.randrange(1, 100)
    head = http_head([f"POST {COMPLETIONS} HTTP/1.1", *_COMMON, f"content-length: {len(body) + missing}"])
    return Case("length too long", head + body, rng.choice((Then.SHUTS, Then.RESETS)))


def _too_long(rng: Random) -> Case:
    return Case("length too short", _post(rng, _encode(good_body(rng))) + rng.randbytes(50))


def _odd_length(rng: Random) -> Case:
    lines = rng.choice(
        (
            ["content-length: -1"],
            ["content-length: 1", "content-length: 2"],
            ["content-length: 99999999999999999999"],
            ["content-length: 0x10"],
            ["content-length: 10", "transfer-encoding: chunked"],
            ["transfer-encoding: gzip"],
            ["transfer-encoding: chunked, identity"],
            [],
        )
    )
    head = http_head([f"POST {COMPLETIONS} HTTP/1.1", *_COMMON, *lines])
    return Case("length odd", head + _encode(good_body(rng)), Then.SHUTS)


def _chunks(rng: Random) -> Case:
    body = _encode(good_body(rng))
    pieces = []
    while body:
        size = rng.randrange(1, 40)
        pieces.append(
            b"%x%b\r\n%b\r\n" % (len(body[:size]), rng.choice((b"", b";ext=1", b'; a="b"')), body[:size])
        )
        body = body[size:]
    end = rng.choice(
        (
            b"0\r\n\r\n",
            b"0\r\nx-trailer: 1\r\n\r\n",
            b"0\r\ncontent-length: 7\r\n\r\n",
            b"0\r\n" + b"t: 1\r\n" * 70 + b"\r\n",
        )
    )
    head = http_head(
        [f"POST {COMPLETIONS} HTTP/1.1", *_COMMON, "transfer-encoding: chunked", "trailer: x-trailer"]
    )
    return Case("chunks", head + b"".join(pieces) + end)


def _broken_chunks(rng: Random) -> Case:
    head = http_head([f"POST {COMPLETIONS} HTTP/1.1", *_COMMON, "transfer-encoding: chunked"])
    body = rng.choice(
        (
            b"zz\r\n",
            b"-5\r\nhello\r\n",
            b"5\r\nhello world\r\n0\r\n\r\n",
            b"fffffffffffffffff\r\n",
            b"3\r\n{}",
        )
    )
    return Case("chunks broken", head + body, rng.choice((Then.SHUTS, Then.RESETS)))


def _reset(rng: Random) -> Case:
    data = _post(rng, _encode({**good_body(rng), "user": "u" * rng.choice((10, 300_000))}))
    return Case("reset", data[: rng.randrange(len(data) + 1)], Then.RESETS)


def _pipelined(rng: Random) -> Case:
    requests = b"".join(_post(rng, rng.choice(_BODIES)(rng)) for _ in range(3))
    return Case("pipelined", requests.replace(b"connection: close\r\n", b"", 2))


def _no_http(rng: Random) -> Case:
    data = rng.choice(
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n", b"SSH-2.0-x\r\n", rng.randbytes(200))
    )
    return Case("not HTTP", data, Then.SHUTS)


_FRAMINGS = (_too_short, _too_long, _odd_length, _chunks, _broken_chunks, _reset, _pipelined, _no_http)
