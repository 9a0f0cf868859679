"""Model rewrites: which rule applies to a model, and which of its targets a request gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from epp.types import Rewrite, RewriteTarget

if TYPE_CHECKING:
    import random


class Rewrites:
    """The rules of a pool in order of precedence; a rule that names the model beats one for every model."""

    def __init__(self, rules: Sequence[Rewrite] = ()) -> None:
        self._exact: dict[str, Rewrite] = {}
        self._generic: Rewrite | None = None
        for rule in rules:
            for model in rule.models:
                self._exact.setdefault(model, rule)
            if not rule.models and self._generic is None:
                self._generic = rule

    def choose(self, model: str, rng: random.Random) -> tuple[Rewrite, str] | None:
        """The rule for `model` and the target drawn by weight; None: no rule applies."""
        rule = self._exact.get(model, self._generic)
        return None if rule is None else (rule, _draw(rule.targets, rng))


def _draw(targets: Sequence[RewriteTarget], rng: random.Random) -> str:
    # Beside weighted siblings an unset weight is 0; without any weight all are equal (the CRD's rule).
    weights = [target.weight or 0 for target in targets]
    if not any(weights):
        weights = [1] * len(targets)
    return rng.choices(targets, weights)[0].model
