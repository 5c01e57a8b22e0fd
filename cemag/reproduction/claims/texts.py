"""The numbers that a chapter's prose speaks of, as strings, each from the records."""

from __future__ import annotations

import pandas as pd

from cemag.reproduction.claims.nulls import circularity
from cemag.reproduction.claims.published import published_rows
from cemag.reproduction.claims.sentences import cases_in_words, sentence
from cemag.reproduction.claims.tables import concentration_by_class, required_by_class, unaugmented
from cemag.reproduction.runs import Study

__all__ = ["glued", "glued_verdicts"]


def glued_verdicts(family: str) -> dict[str, str]:
    """Return the published verdict on every claim, by the claim's name, in words and with its number.

    Under the name and ``-finding`` stands the sentence with the number alone, as captions begin with it.

    Every page of the book shows these and no others, whatever runs its charts draw.
    """
    rows = [row for row in published_rows() if row.family == family]
    found = {f"{row.claim}-finding": sentence(row) for row in rows}
    return found | {row.claim: f"{row.verdict.word} ({cases_in_words(row)}). {sentence(row)}" for row in rows}


def glued(study: Study) -> dict[str, str]:
    """Return name and text of every number that a tabular chapter glues into its prose.

    Names are ``runs``, ``datasets``, ``origin``, ``ratios``; ``rule-low``, ``rule-high``, ``rule-least``
    (range over the rules of the mean share of CEs that a minority instance requires, and which asks least);
    ``top-share``, ``null-share``, ``permuted-share``; ``n-none``, ``n-ros``, ``n-ros-distinct`` (CEs a run);
    those of `circularity`.
    """
    runs = study.runs
    origin = runs["origin"].value_counts()
    texts = {
        "runs": f"{len(runs)}",
        "datasets": ", ".join(runs["dataset"].unique()),
        "origin": ", ".join(f"{count} from {name}" for name, count in origin.items()),
        "ratios": ratios(runs),
    }
    return texts | _rules(study) | _shares(study) | _counts(runs) | circularity(study)


def ratios(runs: pd.DataFrame) -> str:
    """The imbalance of every data set, and whether it is its own: a ratio below that changes nothing."""
    if runs.empty:
        return "(not run)"
    own = runs["imbalance_ratio"].isna().map({True: ":1 by nature", False: ":1"})
    said = runs["ratio"].map("{:.3g}".format) + own
    by_set = said.groupby(runs["data_set"], sort=False).unique()
    return "; ".join(f"{name} {' and '.join(texts)}" for name, texts in by_set.items())


def _rules(study: Study) -> dict[str, str]:
    table = unaugmented(required_by_class(study, "mean"))
    table = table.query("`class` == 'minority' and unit == '% of all CEs'")
    by_rule = table.groupby(["ranking", "stability", "bias"])["value"].mean().sort_values()
    if by_rule.empty:
        return dict.fromkeys(["rule-low", "rule-high", "rule-least"], "(not run)")
    least = ", ".join(str(part) for part in by_rule.index[0])
    return {
        "rule-low": f"{by_rule.iloc[0]:.2g} %",
        "rule-high": f"{by_rule.iloc[-1]:.2g} %",
        "rule-least": least,
    }


def _shares(study: Study) -> dict[str, str]:
    table = unaugmented(concentration_by_class(study)).query("quantity == 'share of the top 10 %'")
    names = {"model": "top-share", "half-normal noise": "null-share", "weights permuted": "permuted-share"}
    texts = {}
    for source, name in names.items():
        means = 100 * table[table["source"] == source].groupby(["dataset", "class"])["value"].mean().dropna()
        ends = list(dict.fromkeys(f"{end:.3g}" for end in (means.min(), means.max())))
        texts[name] = f"{' to '.join(ends)} %" if len(means) else "(not run)"
    return texts


def _counts(runs: pd.DataFrame) -> dict[str, str]:
    def mean(augmenter: str, column: str) -> str:
        values = runs.loc[runs["augmenter"] == augmenter, column]
        return f"{values.mean():,.0f}" if len(values) else "(not run)"

    return {
        "n-none": mean("none", "n_ces"),
        "n-ros": mean("ros", "n_fitted_ces"),
        "n-ros-distinct": mean("ros", "n_ces"),
    }
