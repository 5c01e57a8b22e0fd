"""A model that others trained, as factors: py3langid's language identifier on the messages of Sphinx.

Both come with the book's own installation, so that the chapter needs no download: the identifier is a
naive Bayes over byte n-grams, a linear classifier of 142 languages, and its wheel holds its weights as
plain arrays; Sphinx carries its messages translated into some seventy. Reads those two packages, and
nothing else.
"""

from __future__ import annotations

import gettext
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings.factors import Factors, factors
from cemag.errors import CemagError, DataError

__all__ = ["LanguageIdentifier", "language_identifier", "sphinx_messages"]

SHORTEST = 20  # characters: below this a message is rarely enough for anyone
OTHER_CODES = {"nb": "no"}  # Sphinx's code, where the identifier has another


@dataclass(frozen=True, eq=False)
class LanguageIdentifier:
    """Factors of the identifier on some messages, and what it was trained on.

    Attributes
    ----------
    factors : Factors
    class_counts : dict of str to int
        Documents of each language in its training, from its prior.
    messages : list of str
        The instances.
    """

    factors: Factors
    class_counts: dict[str, int]
    messages: list[str]


def sphinx_messages(per_language: int = 60, *, random_state: int = 0) -> tuple[list[str], list[str]]:
    """Messages of Sphinx in other languages than English, and their languages.

    Parameters
    ----------
    per_language : int, default=60
        At most so many a language, drawn at random; a language may have fewer.
    random_state : int, default=0

    Returns
    -------
    messages, languages : list of str

    Raises
    ------
    CemagError
        If Sphinx is not installed.

    Examples
    --------
    >>> messages, languages = sphinx_messages(2)
    >>> languages.count("fr"), min(len(message) for message in messages) >= 20
    (2, True)
    """
    if per_language < 1:
        raise DataError(f"per_language is {per_language}: it must be at least 1")
    spec = find_spec("sphinx")
    if spec is None or spec.origin is None:
        raise CemagError("Sphinx is not installed: it comes with the extra 'book'")
    found: dict[str, set[str]] = {}
    for path in sorted(Path(spec.origin).parent.glob("locale/*/LC_MESSAGES/sphinx.mo")):
        code = path.parts[-3].split("_")[0].split("@")[0]
        with path.open("rb") as file:
            catalog: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        kept = {text for key, text in catalog.items() if key and text != key and len(text) >= SHORTEST}
        found.setdefault(OTHER_CODES.get(code, code), set()).update(kept)
    found.pop("en", None)  # spelling variants of the original
    rng = np.random.default_rng(random_state)
    messages, languages = [], []
    for code, texts in sorted(found.items()):
        chosen = rng.permutation(sorted(texts))[:per_language]
        messages += [str(text) for text in chosen]
        languages += [code] * len(chosen)
    return messages, languages


def language_identifier(per_language: int = 60, *, random_state: int = 0) -> LanguageIdentifier:
    """The factors of py3langid's identifier on Sphinx's messages.

    The features are ``log(1 + count)`` of the byte n-grams that occur in the messages; the identifier is
    restricted to the languages of the messages, as it allows. Its weights are logarithms of
    probabilities, all negative, so each n-gram's mean over the languages is taken away: that changes no
    decision, and makes a weight say how much the n-gram speaks for a language rather than for all.

    Parameters
    ----------
    per_language, random_state
        As for `sphinx_messages`.

    Raises
    ------
    CemagError
        If py3langid is not installed, or the factors do not decide as it does.
    """
    try:
        from py3langid import langid
    except ImportError:
        raise CemagError("py3langid is not installed: it comes with the extra 'book'") from None
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    messages, languages = sphinx_messages(per_language, random_state=random_state)
    columns = Counter(identifier.nb_classes)  # a language with two scripts has two, and no single sum
    known = [columns[language] == 1 for language in languages]
    messages = [text for text, keep in zip(messages, known, strict=True) if keep]
    languages = [code for code, keep in zip(languages, known, strict=True) if keep]
    identifier.set_languages(sorted(set(languages)))
    seen, counts = _visits(identifier, langid, messages)
    weights = identifier.nb_ptc[seen].astype(np.float64).T
    weights -= weights.mean(axis=0)
    made = factors(
        np.log1p(counts),
        weights,
        identifier.nb_pc,
        languages,
        classes=np.array(identifier.nb_classes),
        feature_names=_unique(_ngrams(identifier, seen)),
        model_name="py3langid on Sphinx's messages",
        kind="input column",
        notes=[
            f"Features are the {len(seen):,} byte n-grams, of {identifier.nb_ptc.shape[0]:,}, that occur in "
            "the messages.",
            "Weights are log-probabilities less their mean over the languages, which changes no decision.",
        ],
    )
    _check(made, identifier, messages)
    documents = np.exp(identifier.nb_pc.astype(float)).round().astype(int)
    return LanguageIdentifier(
        made, dict(zip(identifier.nb_classes, documents.tolist(), strict=True)), messages
    )


def _visits(
    identifier: Any, langid: Any, messages: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """N-grams that occur (d,), and how often each does in each message (N, d)."""
    rows, columns, values = [], [], []
    for row, text in enumerate(messages):
        found = langid.visit_counts(
            identifier.tk_nextmove, identifier._rowbase, identifier.tk_output, identifier._encode(text)
        )
        for column, count in (found or {}).items():
            rows.append(row)
            columns.append(column)
            values.append(count)
    seen, place = np.unique(columns, return_inverse=True)
    counts = np.zeros((len(messages), len(seen)), dtype=np.float32)
    counts[rows, place] = values
    return seen, counts


def _ngrams(identifier: Any, seen: NDArray[np.intp]) -> list[str]:
    """The bytes behind each n-gram, as text: the shortest path through the automaton that reports it."""
    moves = np.frombuffer(identifier.tk_nextmove, dtype=f"u{identifier.tk_nextmove.itemsize}")
    moves, start = moves.reshape(-1, 256), np.asarray(identifier._rowbase) // 256
    output = np.asarray(identifier.tk_output)
    path: list[bytes | None] = [None] * len(output)
    path[0], frontier = b"", [0]
    while frontier:
        reached = []
        for state in frontier:
            row, behind = moves[start[state]], path[state]
            assert behind is not None
            for byte in np.flatnonzero(row):
                if path[row[byte]] is None:
                    path[row[byte]] = behind + bytes([int(byte)])
                    reached.append(int(row[byte]))
        frontier = reached
    named: dict[int, bytes] = {}
    for state, feature in enumerate(output):
        text = path[state]
        if feature >= 0 and text is not None and len(text) < len(named.get(int(feature), text + b"?")):
            named[int(feature)] = text
    return [named.get(int(feature), b"?").decode("utf-8", errors="backslashreplace") for feature in seen]


def _unique(names: Sequence[str]) -> list[str]:
    """Quoted, so that blanks are seen; a name that comes again gets a number."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(f"‘{name}’" if seen[name] == 1 else f"‘{name}’ ({seen[name]})")
    return unique


def _check(made: Factors, identifier: Any, messages: Sequence[str]) -> None:
    own = [identifier.classify(text)[0] for text in messages]
    wrong = int((made.ce.classes[made.ce.predictions] != np.array(own)).sum())
    if wrong > len(own) // 500:  # it sums in half precision, which may tip a tie
        raise CemagError(f"the factors decide otherwise than py3langid in {wrong} of {len(own)} messages")
