"""The model of step times against measurements (H100 80GB, shape of Llama-3.1-8B), milliseconds."""

import pytest

from epp.sim.steptime import StepTime

MODEL = StepTime()


@pytest.mark.parametrize(
    ("tokens", "measured"),
    [(1, 6.0986), (64, 6.5528), (256, 8.6595), (512, 13.5164), (1024, 25.4756), (8192, 194.1845)],
)
def test_everything_but_attention(tokens: int, measured: float) -> None:
    assert MODEL.dense_seconds(tokens) * 1e3 == pytest.approx(measured, rel=0.027)


@pytest.mark.parametrize(
    ("batch", "context", "measured", "tolerance"),
    [
        (16, 256, 0.2972, 0.13),
        (16, 8192, 5.7836, 0.02),
        (64, 1024, 3.0375, 0.01),
        (128, 4096, 22.8445, 0.02),
        (256, 8192, 88.7125, 0.04),
    ],
)
def test_decode_attention(batch: int, context: int, measured: float, tolerance: float) -> None:
    assert MODEL.decode_seconds(batch * context) * 1e3 == pytest.approx(measured, rel=tolerance)


@pytest.mark.parametrize(
    ("chunk", "past", "measured", "tolerance"),
    [
        (512, 0, 0.6773, 0.15),
        (2048, 0, 2.7853, 0.06),
        (8192, 0, 32.4485, 0.01),
        (512, 8192, 7.9742, 0.02),
        (2048, 32768, 109.0179, 0.06),
        (8192, 122880, 1653.0942, 0.04),
    ],
)
def test_prefill_attention(chunk: int, past: int, measured: float, tolerance: float) -> None:
    assert MODEL.prefill_seconds(chunk, past) * 1e3 == pytest.approx(measured, rel=tolerance)


def test_a_small_decoding_batch_reads_its_cache_at_full_bandwidth() -> None:
    bytes_read = 4 * 32768 * 131_072
    assert MODEL.decode_seconds(4 * 32768) == pytest.approx(bytes_read / 3.0e12, rel=0.05)


def test_a_step_is_the_sum_of_its_parts() -> None:
    step = MODEL.step_seconds(decodes=10, decode_context=5000, prefills=[(1000, 0), (24, 4096)])
    parts = (
        MODEL.dense_seconds(10 + 1000 + 24),
        MODEL.decode_seconds(5000),
        MODEL.prefill_seconds(1000, 0),
        MODEL.prefill_seconds(24, 4096),
        MODEL.host_seconds,
    )
    assert step == pytest.approx(sum(parts))


def test_a_step_without_decoding_has_no_decode_attention() -> None:
    prefill_only = MODEL.step_seconds(0, 0, [(100, 0)])
    assert prefill_only == pytest.approx(
        MODEL.host_seconds + MODEL.dense_seconds(100) + MODEL.prefill_seconds(100, 0)
    )
