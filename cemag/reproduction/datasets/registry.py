"""The registry: per data set its source, licence, citation and content fingerprint. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cemag.errors import check_known

__all__ = ["DATASETS", "DatasetInfo", "get_dataset_info"]

SCIKIT_LEARN = "shipped with scikit-learn"
ZENODO = "https://zenodo.org/record/61452/files/benchmark-imbalanced-learn.tar.gz"

UCI_LICENCE = "CC BY 4.0, as the UCI repository states for the original"
COLLECTION_NOTE = (
    "Read from imbalanced-learn's collection (Lemaître et al. 2016, doi:10.5281/zenodo.61452), reported "
    "to be under ODbL 1.0 (by others; not checked at its source)."
)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of one data set. Class 0 is the majority and class 1 the minority, everywhere.

    Attributes
    ----------
    name, title : str
        Name in `DATASETS`; title for the reader.
    kind : {"tabular"}
    source : str
        Address of the download, or ``"shipped with scikit-learn"``.
    licence : str
        As the source states it, or that it does not.
    bib_key, citation : str
        Key in the book's bibliography; the reference in words.
    n_samples, n_features : int
    class_counts : tuple of int
        Points of the majority and of the minority.
    positive : str
        What the minority class is, in words.
    fingerprint : str
        `content_fingerprint` of the data, 64 hexadecimal digits.
    file : str or None
        Path below a data folder; None for a set that is installed with a dependency.
    notes : str
        What a reader of results must know.

    Examples
    --------
    >>> info = get_dataset_info("us_crime")
    >>> info.embedded, round(info.imbalance_ratio, 1)
    (False, 12.3)
    """

    name: str
    title: str
    kind: Literal["tabular"]
    source: str
    licence: str
    bib_key: str
    citation: str
    n_samples: int
    n_features: int
    class_counts: tuple[int, int]
    positive: str
    fingerprint: str
    file: str | None = None
    notes: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the data is there without any file or download."""
        return self.file is None

    @property
    def imbalance_ratio(self) -> float:
        """Majority points over minority points, as the set comes."""
        return self.class_counts[0] / self.class_counts[1]


_PAPER = (
    DatasetInfo(
        name="ozone_level",
        title="Ozone level detection (one hour)",
        kind="tabular",
        source=ZENODO,
        licence=UCI_LICENCE,
        bib_key="zhang2008ozone",
        citation=(
            "K. Zhang, W. Fan. Forecasting skewed biased stochastic ozone days: analyses, solutions and "
            "beyond. Knowledge and Information Systems 14, 299-326, 2008. UCI, doi:10.24432/C5NG6W."
        ),
        n_samples=2536,
        n_features=72,
        class_counts=(2463, 73),
        positive="a day on which ozone exceeded the limit",
        fingerprint="0985a523fd794fb3bbdd63546e7d0331d48f73f615eab7bd70756cb6c5e4d04e",
        file="zenodo/x24data.npz",
        notes=f"{COLLECTION_NOTE} It filled in what the original lacks. Days are not independent.",
    ),
    DatasetInfo(
        name="scene",
        title="Scene",
        kind="tabular",
        source=ZENODO,
        licence="not stated by the source",
        bib_key="boutell2004scene",
        citation=(
            "M. R. Boutell, J. Luo, X. Shen, C. M. Brown. Learning multi-label scene classification. "
            "Pattern Recognition 37(9), 1757-1771, 2004."
        ),
        n_samples=2407,
        n_features=294,
        class_counts=(2230, 177),
        positive="an image that carries more than one scene label",
        fingerprint="b05426c462459c4e29d952037d14b057b8c06667dc2b1cfcf4f34c0028323892",
        file="zenodo/x12data.npz",
        notes=f"{COLLECTION_NOTE} A file rebuilt from the Mulan distribution has other bytes and is as good.",
    ),
    DatasetInfo(
        name="coil_2000",
        title="CoIL Challenge 2000: caravan insurance",
        kind="tabular",
        source=ZENODO,
        licence=(
            f"{UCI_LICENCE}; its owner, Sentient Machine Research, allowed non-commercial research and "
            "education only"
        ),
        bib_key="vanderputten2000coil",
        citation=(
            "P. van der Putten, M. van Someren (eds). CoIL Challenge 2000: the insurance company case. "
            "Sentient Machine Research, Amsterdam; LIACS technical report 2000-09, 2000. "
            "UCI, doi:10.24432/C5630S."
        ),
        n_samples=9822,
        n_features=85,
        class_counts=(9236, 586),
        positive="a customer who holds a caravan policy",
        fingerprint="50e1e4ab0f773b2678ef3e4978c0b8a8306945dba96fe5f91e7a56c0c9ae783c",
        file="zenodo/x15data.npz",
        notes=(
            f"{COLLECTION_NOTE} The challenge's training and evaluation files, joined. Features are coded "
            "ordinals and counts."
        ),
    ),
    DatasetInfo(
        name="thyroid_sick",
        title="Thyroid disease: sick",
        kind="tabular",
        source=ZENODO,
        licence=UCI_LICENCE,
        bib_key="quinlan1986thyroid",
        citation=(
            "J. R. Quinlan, P. J. Compton, K. A. Horn, L. Lazarus. Inductive knowledge acquisition: a case "
            "study. Second Australian Conference on Applications of Expert Systems, 1986. "
            "UCI, doi:10.24432/C5D010."
        ),
        n_samples=3772,
        n_features=52,
        class_counts=(3541, 231),
        positive="a patient diagnosed as sick",
        fingerprint="915cff1d7ea2d626348101fe49729e1645dc6d35cda087dee2c2491d1fe6df4b",
        file="zenodo/x14data.npz",
        notes=f"{COLLECTION_NOTE} Categories are one-hot coded; one column is constant.",
    ),
    DatasetInfo(
        name="us_crime",
        title="Communities and crime",
        kind="tabular",
        source=ZENODO,
        licence=UCI_LICENCE,
        bib_key="redmond2002crime",
        citation=(
            "M. Redmond, A. Baveja. A data-driven software tool for enabling cooperative information "
            "sharing among police departments. European Journal of Operational Research 141(3), "
            "660-678, 2002. UCI, doi:10.24432/C53W3X."
        ),
        n_samples=1994,
        n_features=100,
        class_counts=(1844, 150),
        positive="a community with a normalised violent crime rate above 0.65",
        fingerprint="7459ec618b6c4eb36d865cb5a529d2b071d165ba5305e0df5818ec8d181ea80e",
        file="zenodo/x10data.npz",
        notes=f"{COLLECTION_NOTE} Features were scaled to the unit interval by the donor.",
    ),
)

_QUICK = (
    DatasetInfo(
        name="breast_cancer",
        title="Breast cancer Wisconsin (diagnostic)",
        kind="tabular",
        source=SCIKIT_LEARN,
        licence=UCI_LICENCE,
        bib_key="street1993breast",
        citation=(
            "W. N. Street, W. H. Wolberg, O. L. Mangasarian. Nuclear feature extraction for breast tumor "
            "diagnosis. Biomedical Image Processing and Biomedical Visualization, SPIE 1905, 861-870, 1993. "
            "UCI, doi:10.24432/C5DW2B."
        ),
        n_samples=569,
        n_features=30,
        class_counts=(357, 212),
        positive="a malignant tumour",
        fingerprint="dfff1f5ca8d3bc2f70273fb75e96dcdab76452dddae8afee015905aff754adf7",
        notes="Not one of the paper's sets, and nearly balanced: thin it with an imbalance ratio.",
    ),
    DatasetInfo(
        name="digits",
        title="Handwritten digits: 8 against the rest",
        kind="tabular",
        source=SCIKIT_LEARN,
        licence=UCI_LICENCE,
        bib_key="alpaydin1998digits",
        citation=(
            "E. Alpaydin, C. Kaynak. Cascading classifiers. Kybernetika 34(4), 369-374, 1998. "
            "UCI, doi:10.24432/C50P49."
        ),
        n_samples=1797,
        n_features=64,
        class_counts=(1623, 174),
        positive="an image of the digit 8",
        fingerprint="9d6cb6eb0e770ed2d55d64335641fed0ee760d037287add428edd0bc21a3d218",
        notes="Not one of the paper's sets. UCI's test partition alone; pixels never inked are constant.",
    ),
)

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType({info.name: info for info in (*_PAPER, *_QUICK)})
"""Every known data set by name: the paper's five in its order, then those that need no download."""


def get_dataset_info(name: str) -> DatasetInfo:
    """Look up a data set by its name.

    Parameters
    ----------
    name : str
        Name in `DATASETS`.

    Returns
    -------
    DatasetInfo

    Raises
    ------
    UnknownNameError
        If there is no such set; the nearest known name is suggested.

    Examples
    --------
    >>> get_dataset_info("digits").positive
    'an image of the digit 8'
    """
    return DATASETS[check_known("data set", name, DATASETS)]
