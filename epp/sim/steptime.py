"""How long one step of a model server takes, by what is in the batch. Pure arithmetic.

One step = everything but attention + attention of the decoding sequences + attention of the prefill chunks
+ the scheduler's own time on the host:

    dense    sqrt(weights^2 + (token * n)^2)     small batches are bound by reading the weights
    decode   launch + bytes of KV cache read / bandwidth
    prefill  a first chunk    at least launch, else token * c + pair * c^2 / 2
             after p tokens   launch + past * p + pair * (c*p + c^2/2), with a slower kernel

The defaults are fitted to step times measured for the shape of Llama-3.1-8B in bf16 on one H100 80GB with
PyTorch 2.11, attention by PyTorch's own kernels: prefill for the least worst relative error, decode and
dense with more regard for the large steps. Model against measurement, per cent:

    dense
        tokens              1      2      4      8     16     32     64     96    128    192    256
                          2.6    0.2   -0.6   -1.5   -2.3   -2.3   -1.6   -2.3   -1.4    1.5    1.4
        tokens            384    512    768   1024   1536   2048   3072   4096   6144   8192
                          1.9    2.2   -0.8   -0.3   -0.9   -0.6   -0.5   -1.2    0.4    1.5
    decode
        batch  context    256   1024   4096   8192  16384  32768 131072
           16            12.8   -6.5    0.1    1.9    2.8    3.5    4.1
           64           -12.9   -0.4    1.0    1.5    1.8    2.2
          128            -7.8    0.3    1.1    0.6    0.2
          256            -3.4    2.4    3.5    3.6
    prefill
        chunk     past      0   2048   8192  32768 122880
          128            -7.0   -4.6    7.0   -2.9   -7.0
          512             5.9    6.7    0.0   -2.7   -3.2
         1024            -6.9    1.1    6.7    4.3    6.9
         2048             0.9   -7.0    3.2    6.2    6.8
         4096            -0.1   -3.0    1.1    5.0    6.0
         8192             1.3   -0.4    2.5    4.6    4.5

Whole steps, dense and decode and prefill together, are within 6.1 % of the sum of what was measured.
tests/unit/sim/test_steptime.py recomputes all of this.

Decode batches under 8 were measured too, with a kernel that leaves most of the chip idle there; a paged
decoding kernel does not, so the line of the large batches holds for them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot


@dataclass(frozen=True, slots=True)
class StepTime:
    """The model's parameters, in seconds and bytes; the defaults are the fit described above."""

    weights_seconds: float = 6.26e-3  # one pass over all weights: the floor of a step
    token_seconds: float = 24.04e-6  # matrix products, per token
    decode_launch_seconds: float = 0.156e-3
    kv_bytes_per_token: int = 131_072  # 32 layers * 8 KV heads * 128 * 2 (key, value) * 2 bytes
    kv_bytes_per_second: float = 2.995e12
    prefill_launch_seconds: float = 0.717e-3
    first_chunk_token_seconds: float = 0.4915e-6  # nothing cached before the chunk: the plain causal kernel
    first_chunk_pair_seconds: float = 0.860e-9
    past_token_seconds: float = 0.0109e-6
    later_chunk_pair_seconds: float = 1.658e-9  # with a past the kernel takes a mask, and is slower
    host_seconds: float = 1.5e-3  # scheduling between steps: middle of the 1 to 2 ms seen on such a server

    def step_seconds(
        self, decodes: int, decode_context: int, prefills: Sequence[tuple[int, int]] = ()
    ) -> float:
        """Seconds of a step with `decodes` sequences that read `decode_context` tokens of KV cache together,
        and prefill chunks of (tokens, past tokens).
        """
        tokens = decodes + sum(chunk for chunk, _ in prefills)
        return (
            self.host_seconds
            + self.dense_seconds(tokens)
            + (self.decode_seconds(decode_context) if decodes else 0.0)
            + sum(self.prefill_seconds(chunk, past) for chunk, past in prefills)
        )

    def dense_seconds(self, tokens: int) -> float:
        """Everything but attention, for `tokens` in the step."""
        return hypot(self.weights_seconds, self.token_seconds * tokens)

    def decode_seconds(self, context: int) -> float:
        """Attention of all decoding sequences, `context` tokens of KV cache together."""
        return self.decode_launch_seconds + context * self.kv_bytes_per_token / self.kv_bytes_per_second

    def prefill_seconds(self, chunk: int, past: int) -> float:
        """Attention of one chunk of `chunk` tokens after `past` tokens."""
        if not past:
            work = chunk * (self.first_chunk_token_seconds + self.first_chunk_pair_seconds * chunk / 2)
            return max(self.prefill_launch_seconds, work)
        pairs = chunk * (past + chunk / 2)
        return (
            self.prefill_launch_seconds
            + self.past_token_seconds * past
            + self.later_chunk_pair_seconds * pairs
        )
