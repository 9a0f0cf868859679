"""Fuzzes the pure core of HTTP/2 (epp/transport/h2), led by what its code has not yet run through.

    python -m tests.fuzz.h2_core [--seconds 60] [--seed N] [--keep]

Begins with the clients of corpus.txt, changes them frame by frame, and goes on from each that reaches what
none has reached: libFuzzer, by way of atheris. What is checked of a client stands in h2_client.py. One that
fails is printed as a line of corpus.txt: put it there, and `pytest tests/fuzz` repeats it. --keep writes the
smallest set of clients that reaches all that this run has reached back to corpus.txt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

CORPUS = Path(__file__).with_name("corpus.txt")

# Bytes of a client: some twenty frames, or one flood.
LONGEST = 2_000


def corpus() -> list[bytes]:
    """The clients that are kept, one line of hexadecimal digits each."""
    return [bytes.fromhex(line) for line in CORPUS.read_text().splitlines()]


def keep(clients: Iterable[bytes]) -> None:
    """Replaces the corpus."""
    CORPUS.write_text("".join(f"{client.hex()}\n" for client in sorted(clients, key=lambda c: (len(c), c))))


def main() -> int:
    """Runs for as long as it is told; exit code 1 if a client fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big") or 1)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    print(f"--seconds {arguments.seconds} --seed {arguments.seed}", flush=True)
    with TemporaryDirectory() as name:
        reached, smallest = Path(name, "reached"), Path(name, "smallest")
        reached.mkdir()
        smallest.mkdir()
        for number, client in enumerate(corpus()):
            (reached / f"{number:04}").write_bytes(client)
        failed = libfuzzer(
            f"-max_total_time={arguments.seconds}",
            f"-seed={arguments.seed}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix={name}/",
            "-print_final_stats=1",
            "-verbosity=0",
            reached,
        )
        if not failed and arguments.keep:
            failed = libfuzzer("-merge=1", "-verbosity=0", smallest, reached)
            keep(file.read_bytes() for file in smallest.iterdir())
    return bool(failed)


def libfuzzer(*arguments: str | Path) -> int:
    """Runs it in a process of its own, for it ends the one in which it runs; the exit code."""
    return subprocess.run([sys.executable, "-m", "tests.fuzz.h2_target", *map(str, arguments)]).returncode


if __name__ == "__main__":
    sys.exit(main())
