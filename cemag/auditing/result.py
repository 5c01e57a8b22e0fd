"""Audit: what was found of one model, as tables, charts, plain words and files."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.auditing.findings import Statement, findings
from cemag.auditing.tables import feature_table, shared_features
from cemag.errors import CemagError, StoreError

if TYPE_CHECKING:
    from cemag.auditing.charts import AuditCharts
    from cemag.auditing.report import EmbeddedReport

__all__ = ["Audit", "read_audit"]

FORMAT = 3
TABLES = ("per_class", "per_feature", "per_instance", "null", "forms")


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What carries the classes of one model. Made by `cemag.audit`.

    Attributes
    ----------
    model_name : str
        What was audited.
    kind : str
        What one feature is: an input column, a latent feature or a support vector.
    class_names, feature_names : tuple of str
        C and d names.
    per_class : DataFrame
        One row per class: ``role``, ``size``, ``n``, ``recall``. Over its ``n_correct`` correct predictions:
        ``by_bias``, the share (%) that the bias alone gives or that is lost without it, and
        ``lost_without_bias``, of the latter; the means ``top_share``, ``largest_share``,
        ``participation_ratio``, ``n_active`` (CEs other than zero) and ``margin``. Over the ``n_counted`` of
        them that the CEs give without the bias (and were counted): ``required``, the mean number of CEs
        needed (at least 1), ``at_most``, which theorem T1 allows it (`cemag.theory`), ``required_share``
        (% of d) and ``by_one_or_two`` (%). ``union``: CEs that 20 instances need between them.
        ``features_for_half``: features that carry half of the mean magnitude.
        ``top_feature``, which speaks most for the class measured from its mean, its share of the
        magnitude (%) and the recall that is left without it. ``*_low`` and ``*_high`` are the ends of 95 %
        intervals: Wilson's for shares, the bootstrap over instances for means, draws of 20 instances
        without replacement for unions.
    per_feature : DataFrame
        One row per class and feature.
    per_instance : DataFrame
        One row per instance: ``label``, ``predicted``, ``correct`` and its CEs towards the prediction, as
        `cemag.metrics.per_instance` has them. ``required`` counts with the bias, as the model decides,
        and is 0 where the bias alone gives the prediction; ``required_without_bias`` is what ``required`` of
        a class is the mean of.
    null : DataFrame
        ``source`` x ``quantity``: what permuted weights (several times, ``sd`` between them), half-normal
        noise, and the number of CEs other than zero alone give.
    forms : DataFrame
        What the paper's CEs, the same with features centred, and margin CEs give on one sample.
    notes : tuple of str
        What a reader should know of how the CEs were obtained.

    See Also
    --------
    cemag.compare : two audits side by side.
    """

    model_name: str
    kind: str
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    per_class: pd.DataFrame
    per_instance: pd.DataFrame
    null: pd.DataFrame
    forms: pd.DataFrame
    features: Mapping[str, NDArray[np.float32]] = field(repr=False)
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------------ numbers

    @property
    def n_features(self) -> int:
        """Number d of CEs a class."""
        return len(self.feature_names)

    @property
    def accuracy(self) -> float:
        """Share of the instances that are predicted correctly."""
        return float(self.per_instance["correct"].mean())

    @cached_property
    def per_feature(self) -> pd.DataFrame:
        """One row per class and feature: mean CE and magnitude, how often in the top 10 % and active."""
        return feature_table(self.features, self.class_names, self.feature_names)

    @cached_property
    def shared_features(self) -> pd.DataFrame:
        """Features by the number of classes that rest on them, most shared first."""
        return shared_features(self.features, self.feature_names, self.class_names)

    @cached_property
    def findings(self) -> list[Statement]:
        """Everything that the audit says, with its numbers."""
        return findings(self)

    # ------------------------------------------------------------------ words

    def summary(self) -> str:
        """All findings in plain words."""
        lines = [self.headline, ""]
        lines += [f"- {said.title[0].upper()}{said.title[1:]}. {said.text}" for said in self.findings]
        return "\n".join([*lines, *(f"- Note: {note}" for note in self.notes)])

    @property
    def headline(self) -> str:
        """The model, the instances and the accuracy in one line."""
        return (
            f"{self.model_name}: {len(self.per_instance):,} instances, {self.n_features:,} CEs a class "
            f"({self.kind}s), {len(self.class_names):,} classes, accuracy {self.accuracy:.3f}"
        )

    def __repr__(self) -> str:
        shown = self._shown(8)
        titles = "\n".join(f"- {finding.title}" for finding in self.findings)
        table = shown.to_string(index=False, na_rep="–", float_format=lambda value: f"{value:.3g}")
        return f"Audit of {self.headline}\n{titles}\n{table}"

    def _shown(self, n: int) -> pd.DataFrame:
        """The first of the classes, by what they need, in the columns that fit a line."""
        table = self.per_class[self.per_class["n_correct"] > 0].nsmallest(n, "required", keep="first")
        columns = ["class", "role", "n", "recall", "by_bias", "required", "at_most", "top_share"]
        columns.append("recall_lost")
        if "required_low" in table:
            columns[6:6] = ["required_low", "required_high"]
        return table[columns]

    def _repr_html_(self) -> str:
        in_book = os.environ.get("CEMAG_BOOK") == "1"  # there, chapters are the pages beside this one
        more = " <a href='{}.html'>more</a>" if in_book else ""
        items = "".join(
            f"<li><b>{escape(f.title[0].upper() + f.title[1:])}.</b> {escape(f.text)}"
            f"{more.format(f.chapter)}</li>"
            for f in self.findings
        )
        table = self._shown(12).to_html(
            index=False, na_rep="–", float_format=lambda value: f"{value:.3g}", classes="cemag-table"
        )
        return f"<div class='cemag-audit'><p>{escape(self.headline)}</p><ul>{items}</ul>{table}</div>"

    # ------------------------------------------------------------------ pictures and files

    @property
    def charts(self) -> AuditCharts:
        """The charts of the report, each an Altair chart."""
        from cemag.auditing.charts import AuditCharts

        return AuditCharts(self)

    def report(self, path: str | os.PathLike[str], *, book: str | None = None) -> Path:
        """Write one HTML file with everything in it; it needs no network.

        Parameters
        ----------
        path : path
            Its folder must exist; an existing file is replaced.
        book : str, optional
            Address of the book that chapters are linked to; ``CEMAG_BOOK_URL``, or the book built in
            this project, when not given, else no links.
        """
        from cemag.auditing.report import write_report

        return write_report(self, Path(path), book)

    def show_report(self) -> EmbeddedReport:
        """The report inside a notebook's page."""
        from cemag.auditing.report import EmbeddedReport, book_address, render

        return EmbeddedReport(render(self, book_address()))

    def to_parquet(self, folder: str | os.PathLike[str]) -> Path:
        """Write the tables, each as a Parquet file, into a new folder, whole or not at all.

        Raises
        ------
        StoreError
            If the folder exists already, or cannot be made.
        """
        target = Path(folder)
        if target.exists():
            raise StoreError(f"{target}: exists already; an audit is written into a new folder")
        about = {
            "format": FORMAT,
            "model_name": self.model_name,
            "kind": self.kind,
            "class_names": self.class_names,
            "feature_names": self.feature_names,
            "notes": self.notes,
            "settings": dict(self.settings),
        }
        try:
            made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        except OSError as error:
            raise StoreError(f"{target}: cannot be made ({error.strerror or error})") from None
        try:
            for name in TABLES:
                getattr(self, name).to_parquet(made / f"{name}.parquet", index=False)
            (made / "audit.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            made.chmod(0o755)
            made.rename(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return target


def read_audit(folder: str | os.PathLike[str]) -> Audit:
    """Read what `Audit.to_parquet` wrote.

    Raises
    ------
    StoreError
        If a file of it is missing, damaged, or of another version.
    """
    home = Path(folder)
    try:
        about = json.loads((home / "audit.json").read_text(encoding="utf-8"))
        tables = {name: pd.read_parquet(home / f"{name}.parquet") for name in TABLES}
    except (OSError, ValueError) as error:
        raise StoreError(f"{home}: not a readable audit ({' '.join(str(error).split())})") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise StoreError(f"{home}: format {found!r}: {FORMAT} is supported")
    try:
        return _audit_of(home, about, tables)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{home}: not a whole audit ({type(error).__name__}: {error})") from None


def _audit_of(home: Path, about: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Audit:
    shape = (len(about["class_names"]), len(about["feature_names"]))
    long = tables.pop("per_feature")
    if len(long) != shape[0] * shape[1]:
        raise CemagError(f"{home}: per_feature has {len(long)} rows: {shape[0]} x {shape[1]} are needed")
    names = [name for name in long.columns if name not in ("class", "feature")]
    return Audit(
        model_name=about["model_name"],
        kind=about["kind"],
        class_names=tuple(about["class_names"]),
        feature_names=tuple(about["feature_names"]),
        features={name: long[name].to_numpy().reshape(shape) for name in names},
        notes=tuple(about["notes"]),
        settings=about["settings"],
        **tables,
    )
