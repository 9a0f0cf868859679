"""Which rewrite rule applies to a model, and what it draws."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from epp.datastore.rewrites import Rewrites
from epp.types import Rewrite, RewriteTarget


def rule(name: str, *models: str, **targets: int | None) -> Rewrite:
    return Rewrite(name, models, tuple(RewriteTarget(model, weight) for model, weight in targets.items()))


def chosen(rules: Rewrites, model: str) -> tuple[str, str] | None:
    choice = rules.choose(model, random.Random(0))
    return None if choice is None else (choice[0].name, choice[1])


class TestPrecedence:
    @pytest.mark.parametrize(
        ("model", "applies"),
        [
            ("a", ("exact", "exact_a")),
            ("b", ("exact", "exact_a")),
            ("c", ("generic", "any_1")),
            ("", ("generic", "any_1")),
        ],
    )
    def test_a_rule_that_names_the_model_beats_one_for_every_model(
        self, model: str, applies: tuple[str, str]
    ) -> None:
        rules = Rewrites([rule("generic", any_1=1), rule("exact", "a", "b", exact_a=1)])
        assert chosen(rules, model) == applies

    def test_among_equals_the_first_counts(self) -> None:
        exact = [rule("first", "a", x=1), rule("second", "a", y=1)]
        generic = [rule("third", z=1), rule("fourth", q=1)]
        rules = Rewrites([*exact, *generic])
        assert chosen(rules, "a") == ("first", "x")
        assert chosen(rules, "other") == ("third", "z")

    def test_no_rule_applies(self) -> None:
        assert chosen(Rewrites(), "a") is None
        assert chosen(Rewrites([rule("exact", "b", x=1)]), "a") is None

    def test_what_a_rule_makes_is_not_rewritten_again(self) -> None:
        rules = Rewrites([rule("one", "a", b=1), rule("two", "b", c=1)])
        assert chosen(rules, "a") == ("one", "b")


class TestWeights:
    @pytest.mark.parametrize(
        ("targets", "share"),
        [
            ({"x": 90, "y": 10}, {"x": 0.9, "y": 0.1}),
            ({"x": 1_000_000, "y": 1_000_000}, {"x": 0.5, "y": 0.5}),
            ({"x": None, "y": None, "z": None}, {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3}),
            ({"x": 1, "y": None}, {"x": 1.0}),  # beside a weight, none is zero
            ({"x": None}, {"x": 1.0}),
        ],
    )
    def test_targets_are_drawn_by_weight(
        self, targets: dict[str, int | None], share: dict[str, float]
    ) -> None:
        rules, rng = Rewrites([rule("r", "a", **targets)]), random.Random(1)
        drawn = Counter(choice[1] for _ in range(3000) if (choice := rules.choose("a", rng)))
        assert {model: count / 3000 for model, count in drawn.items()} == pytest.approx(share, abs=0.03)

    def test_the_same_seed_draws_the_same(self) -> None:
        rules = Rewrites([rule("r", x=1, y=1)])
        one, two = (
            [rules.choose("a", rng) for _ in range(50)] for rng in (random.Random(7), random.Random(7))
        )
        assert one == two
