"""The answers of the causal experiments, one line each: design, effect with its interval, verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cemag.errors import DataError
from cemag.reproduction.experiments.augmenters import augmenter_effects, law_verdict, share_of_law
from cemag.reproduction.experiments.cells import cells_of, planted_effects
from cemag.reproduction.experiments.concentration import head_effects, more_concentrated
from cemag.reproduction.experiments.estimates import Estimate
from cemag.reproduction.experiments.natural import natural_effects
from cemag.reproduction.experiments.slopes import primary

__all__ = ["Answer", "answers", "augmenter_answers", "causes_answers"]


@dataclass(frozen=True)
class Answer:
    """One causal question and what its experiment says.

    Attributes
    ----------
    question, design : str
    effect : Estimate or None
        None where it was not run.
    unit : str
        Of the effect.
    verdict : str
        ``holds``, ``fails``, ``open``, ``not concluded`` or ``not run``; of a law ``follows the law``,
        ``gains less`` or ``open``.
    """

    question: str
    design: str
    effect: Estimate | None
    unit: str
    verdict: str

    def __str__(self) -> str:
        effect = "" if self.effect is None else f" {self.effect} {self.unit}, n = {self.effect.n};"
        return f"{self.question}: {self.verdict};{effect} {self.design}"


def answers(folders: Sequence[Path] | None = None) -> list[Answer]:
    """Answers to both questions of the plan: rows of the scorecard.

    Parameters
    ----------
    folders : sequence of path, optional
        Where records may lie; what is not there is computed into the last.
    """
    effect = primary(planted_effects(cells_of("networks", evidence=[1, 8]), folders=folders))
    found = [
        Answer(
            "frequency makes magnitude, given evidence",
            "planted textures, networks; slope at L = 8 minus that at L = 1, paired by seed",
            effect,
            "per doubling of the frequency",
            effect.verdict,
        )
    ]
    effects = head_effects(folders=folders)
    for family in ("tables", "networks"):
        question = f"concentration holds minorities back ({family})"
        design = "heads over stored features; minority recall with an elastic net minus that with dropout"
        try:
            answer = more_concentrated(effects, family)
        except DataError:
            found.append(Answer(question, design, None, "", "not run"))
            continue
        found.append(Answer(question, design, answer.recall, "of recall", answer.verdict))
    return found


def causes_answers(folders: Sequence[Path]) -> Iterator[str]:
    """Compute every cell of the plan, saying which, then answer."""
    for cell in [*cells_of("networks"), *cells_of("tables")]:
        rows = planted_effects([cell], folders=folders)
        yield f"{cell.name}: {len(rows)} effects"
    yield f"natural features: {len(natural_effects(folders))} effects"
    yield from map(str, answers(folders))
    yield from map(str, augmenter_answers(folders))


def augmenter_answers(folders: Sequence[Path] | None = None) -> list[Answer]:
    """Whether SMOTE follows T5's law, for tables and for networks."""
    found = []
    effects = augmenter_effects(folders=folders)
    for family in ("tables", "networks"):
        question = f"SMOTE follows the law of independent parents ({family})"
        design = "frequency that it adds to features as a share of the law's"
        try:
            share = share_of_law(effects, family)
        except DataError:
            found.append(Answer(question, design, None, "", "not run"))
            continue
        found.append(Answer(question, design, share, "of the law's", law_verdict(share)))
    return found
