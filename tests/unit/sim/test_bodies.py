import json
from typing import Any

import pytest

from epp.sim import bodies, tokens
from epp.sim.bodies import Ask
from epp.sim.refusals import BodyError


def completion(**fields: Any) -> Ask:
    return bodies.completion(json.dumps(fields).encode())


def chat(**fields: Any) -> Ask:
    return bodies.chat(json.dumps(fields).encode())


def test_a_completion_with_defaults() -> None:
    assert completion(model="base", prompt="four") == Ask("base", (b"four",), output_tokens=16)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("four", [b"four"]),
        (["four", "five"], [b"four", b"five"]),
        ([7, 8], [b"\7\0\0\0\x08\0\0\0"]),
        ([[7], [8]], [b"\7\0\0\0", b"\x08\0\0\0"]),
    ],
)
def test_all_forms_of_a_prompt(prompt: Any, prompts: list[bytes]) -> None:
    assert completion(prompt=prompt).prompts == tuple(prompts)


def test_stream_options() -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    ask = completion(prompt="a", stream=True, stream_options=options, max_tokens=5, n=2)
    assert (ask.stream, ask.include_usage, ask.continuous_usage, ask.output_tokens, ask.n) == (
        True,
        True,
        True,
        5,
        2,
    )


def test_fields_of_no_interest_are_passed_over() -> None:
    assert completion(prompt="a", temperature=0.5, stop=["x"], ignore_eos=True).output_tokens == 16


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": []}, "between 1 and 128 answers"),
        ({"prompt": [""]}, "the prompt is empty"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [1, "a"]}, "a prompt is text"),
        ({"prompt": [1, [2]]}, "a prompt is text"),
        ({"prompt": [-1]}, "token ids"),
        ({"prompt": "a", "model": 5}, "model"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens must be at least 1"),
        ({"prompt": "a", "n": 129}, "between 1 and 128 answers"),
        ({"prompt": "a", "n": 0}, "between 1 and 128 answers"),
        ({"prompt": "a", "stream_options": 1}, "stream_options"),
    ],
)
def test_faulty_completions(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BodyError, match=message):
        completion(**fields)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"prompt": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(BodyError):
        bodies.completion(data)


def test_a_chat_is_its_turns() -> None:
    messages = [{"role": "system", "content": "short"}, {"role": "user", "content": "why?"}]
    ask = chat(model="base", messages=messages)
    assert ask.prompts == (tokens.encode_chat([("system", "short"), ("user", "why?")]),)


def test_parts_of_a_message_are_read_in_order() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    content = [{"type": "text", "text": "see "}, image, {"type": "text", "text": "this"}]
    ask = chat(messages=[{"role": "user", "content": content}])
    expected = "see " + json.dumps(image, separators=(",", ":")) + "this"
    assert ask.prompts == (tokens.encode_chat([("user", expected)]),)


def test_tools_come_before_the_messages() -> None:
    ask = chat(messages=[{"role": "user", "content": "a"}], tools=[{"type": "function"}])
    assert ask.prompts == (tokens.encode_chat([("tools", '[{"type":"function"}]'), ("user", "a")]),)


def test_a_message_may_have_no_content() -> None:
    assert chat(messages=[{"role": "assistant", "content": None}]).prompts == (
        tokens.encode_chat([("assistant", "")]),
    )


def test_both_names_of_the_limit_of_a_chat() -> None:
    messages = [{"role": "user", "content": "a"}]
    assert chat(messages=messages, max_tokens=3).output_tokens == 3
    assert chat(messages=messages, max_tokens=3, max_completion_tokens=4).output_tokens == 4


def test_a_chat_without_messages_is_refused() -> None:
    with pytest.raises(BodyError, match="messages"):
        chat(messages=[])


def test_responses_take_text_or_messages() -> None:
    text = bodies.responses(b'{"input": "why?", "max_output_tokens": 3}')
    messages = bodies.responses(
        b'{"input": [{"role": "user", "content": "why?"}], "instructions": "be brief"}'
    )
    assert text.prompts == (tokens.encode_chat([("user", "why?")]),)
    assert text.output_tokens == 3
    assert messages.prompts == (tokens.encode_chat([("system", "be brief"), ("user", "why?")]),)


def test_an_embedding_is_a_prefill() -> None:
    ask = bodies.embedding(b'{"input": ["four", "five"]}')
    assert (ask.prompts, ask.output_tokens) == ((b"four", b"five"), 1)


def test_adapter_bodies() -> None:
    assert bodies.load_adapter(b'{"lora_name": "a", "lora_path": "/a"}') == ("a", "/a")
    assert bodies.unload_adapter(b'{"lora_name": "a"}') == "a"
    with pytest.raises(BodyError, match="must be provided"):
        bodies.load_adapter(b'{"lora_name": "a", "lora_path": ""}')
