"""`python -m tests.trace_samples`: writes epp/simulate/samples, one for each of two public formats.

They are made up here and cut from no published file: conversations whose prompts grow, ten minutes of them,
and completions of code. `tests/unit/simulate/test_workloads.py` compares them with what this makes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path

from epp.simulate.draw import Draw
from epp.simulate.generators import Chat
from epp.simulate.traces import MOONCAKE_BLOCK
from epp.simulate.workloads import SAMPLES

REQUESTS = 200
SECONDS = 600

# Long prompts, as the traces have.
CONVERSATIONS = Chat(systems=3, system=Draw("600"), question=Draw("3000x1max40000"), output=Draw("300x0.7"))
QUESTION, ANSWER = Draw("1500x1max7000"), Draw("20x1max500")
START = datetime(2023, 11, 16, 18, 0, 0)


def mooncake() -> Iterator[str]:
    """Blocks have equal numbers where the prompts before their ends are equal."""
    known: dict[tuple[str, ...], int] = {}
    arrivals = CONVERSATIONS.arrivals(random.Random(1), REQUESTS / SECONDS)
    for arrival in islice(arrivals, REQUESTS):
        tokens = [f"{piece.key} {n}" for piece in arrival.prompt for n in range(piece.tokens)]
        ends = range(MOONCAKE_BLOCK, len(tokens) + MOONCAKE_BLOCK, MOONCAKE_BLOCK)
        # A block is told by its last token and where it ends: what comes before it is then the same.
        blocks = [(str(end), tokens[min(end, len(tokens)) - 1]) for end in ends]
        numbers = [known.setdefault(block, len(known)) for block in blocks]
        line = {"timestamp": round(1000 * arrival.at), "input_length": len(tokens)}
        yield json.dumps({**line, "output_length": arrival.output_tokens, "hash_ids": numbers})


def azure() -> Iterator[str]:
    """More requests as time goes on, as in a working day's beginning."""
    yield "TIMESTAMP,ContextTokens,GeneratedTokens"
    rng, at = random.Random(2), 0.0
    for number in islice(count(1), REQUESTS):
        at += rng.expovariate(1) * 2 * SECONDS / REQUESTS * (1 - number / (REQUESTS + 1))
        moment = (START + timedelta(seconds=at)).isoformat(sep=" ", timespec="microseconds")
        yield f"{moment}0,{QUESTION.tokens(rng)},{ANSWER.tokens(rng)}"


def samples() -> dict[Path, str]:
    """What each file holds."""
    made = {"mooncake-sample": mooncake(), "azure-sample": azure()}
    return {SAMPLES[name]: "".join(f"{line}\n" for line in lines) for name, lines in made.items()}


if __name__ == "__main__":
    for path, content in samples().items():
        path.write_text(content, encoding="utf-8")
