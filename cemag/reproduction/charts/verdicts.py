"""The published verdicts of one family of models or several, as a table of worded and coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cemag.reproduction.claims import CLAIMS, FAMILIES, Row, sentence
from cemag.reproduction.claims.sentences import cases_in_words

__all__ = ["VerdictTable", "badge"]


def badge(word: str) -> str:
    """A word with its colour; words that are none of ours without."""
    kind = word.replace(" ", "-")
    return f"<span class='verdict verdict-{kind}'>{escape(word)}</span>"


@dataclass(frozen=True)
class VerdictTable:
    """One row per claim, one column per family of models.

    Parameters
    ----------
    rows : sequence of Row
        Of the scorecard, as `cemag.reproduction.claims.published_rows` gives them.
    families, claims : sequence of str, optional
        Which of them to show, in this order; all when not given.
    """

    rows: Sequence[Row]
    families: Sequence[str] = tuple(FAMILIES)
    claims: Sequence[str] = tuple(CLAIMS)

    def _found(self) -> dict[tuple[str, str], Row]:
        return {(row.claim, row.family): row for row in self.rows}

    def __repr__(self) -> str:
        found = self._found()
        lines = [found[claim, family] for claim in self.claims for family in self.families]
        return "\n".join(f"{row.claim} {row.family}: {row.verdict.word}. {sentence(row)}" for row in lines)

    def _repr_html_(self) -> str:
        found = self._found()
        heads = "".join(f"<th>{escape(FAMILIES[family])}</th>" for family in self.families)
        body = "".join(
            f"<tr><th scope='row'>{claim}</th><td>{escape(CLAIMS[claim].statement)}</td>"
            + "".join(_cell(found[claim, family]) for family in self.families)
            + "</tr>"
            for claim in self.claims
        )
        head = f"<thead><tr><th>claim</th><th>as stated</th>{heads}</tr></thead>"
        return f"<table class='cemag-verdicts'>{head}<tbody>{body}</tbody></table>"


def _cell(row: Row) -> str:
    return f"<td>{badge(row.verdict.word)}<br>{escape(sentence(row))}<br>{escape(cases_in_words(row))}</td>"
