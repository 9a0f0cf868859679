from epp.sim.sequence import Sequence, SimRequest


def test_tokens_and_their_times() -> None:
    sequence = Sequence(SimRequest("a", prompt_tokens=10, output_tokens=2), arrived_at=1.0)
    assert (sequence.length, sequence.finished) == (10, False)

    sequence.add_tokens(3.0)
    assert (sequence.first_token_at, sequence.last_token_at, sequence.token_gap) == (3, 3, 0)
    sequence.add_tokens(3.5)
    assert (sequence.first_token_at, sequence.last_token_at, sequence.token_gap) == (3, 3.5, 0.5)
    assert (sequence.length, sequence.finished) == (12, True)
