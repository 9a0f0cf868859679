"""libFuzzer with our clients and our way to change them; arguments are its own. Started by h2_core.py."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["epp.transport.h2"]):
    from tests.fuzz.h2_client import play
from tests.fuzz.h2_mutation import mutate


def one_client(client: bytes) -> None:
    """Tells how to repeat a failure before it ends the run."""
    try:
        play(client)
    except BaseException:
        print(f"a line for corpus.txt: {client.hex()}", flush=True)
        raise


def changed(client: bytes, longest: int, seed: int) -> bytes:
    """What libFuzzer calls a custom mutator."""
    return mutate(client, longest, seed, lambda data: atheris.Mutate(data, len(data) + 20))


if __name__ == "__main__":
    # When it merges, libFuzzer starts itself again by its first argument, in a shell.
    sys.argv[0] = f"{sys.executable} -m tests.fuzz.h2_target"
    atheris.Setup(sys.argv, one_client, custom_mutator=changed)
    atheris.Fuzz()
