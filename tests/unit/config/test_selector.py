"""Label selectors as flags have them."""

from __future__ import annotations

import pytest

from epp.config.selector import read_selector


def test_labels_are_read() -> None:
    text = "app=vllm, example.com/role=decode,empty="
    assert read_selector(text) == {"app": "vllm", "example.com/role": "decode", "empty": ""}


@pytest.mark.parametrize(
    "text", ["", "app", "app=a b", "=x", "app!=x", "app in (a)", "a=1,a=2", "a=b=c", "a=1,"]
)
def test_what_is_no_list_of_labels_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no label|two values"):
        read_selector(text)
