import pytest

from epp.sim import tokens


def test_four_bytes_are_a_token() -> None:
    assert tokens.count(tokens.encode("")) == 0
    assert tokens.count(tokens.encode("four")) == 1
    assert tokens.count(tokens.encode("fives")) == 2
    assert tokens.count(tokens.encode("\u00e9\u00e9")) == 1  # two bytes each


def test_ids_and_text_of_the_same_tokens_are_equal() -> None:
    assert tokens.pack([int.from_bytes(b"four", "little"), 7]) == b"four\x07\0\0\0"


@pytest.mark.parametrize("ids", [[-1], [2**32]])
def test_what_is_no_token_id_is_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="token ids"):
        tokens.pack(ids)


def test_half_a_surrogate_pair_is_text_too() -> None:
    assert tokens.count(tokens.encode("\ud800")) == 1


def test_an_answer_is_part_of_the_next_turn_as_it_was_produced() -> None:
    question = tokens.encode_chat([("user", "why?")])
    answer = tokens.output_text(seed=12345, length=9)
    following = tokens.encode_chat([("user", "why?"), ("assistant", answer), ("user", "and?")])
    assert following.startswith(question + tokens.encode(answer))


def test_words_are_one_token_each_and_depend_on_the_seed() -> None:
    text = tokens.output_text(seed=1 << 40, length=50)
    assert tokens.count(tokens.encode(text)) == 50
    assert len(text) == 50 * tokens.TOKEN_BYTES
    assert text.startswith(tokens.output_text(seed=1 << 40, length=20))
    assert text != tokens.output_text(seed=(1 << 40) + 1, length=50)
