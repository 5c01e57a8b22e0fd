"""Data sets: what they are, where they come from, how they are thinned and split.

Reads files and may download one; writes only to the per-user cache. Importing it loads NumPy and
nothing heavier.

Examples
--------
>>> from cemag.datasets import load_tabular, stratified_split
>>> data = load_tabular("breast_cancer")
>>> data.X.shape, data.info.class_counts
((569, 30), (357, 212))
"""

from cemag.datasets.imbalance import class_counts, make_imbalanced
from cemag.datasets.registry import DATASETS, DatasetInfo, get_dataset_info
from cemag.datasets.sources import DatasetStatus, dataset_status
from cemag.datasets.splits import Split, stratified_split
from cemag.datasets.tabular import TabularDataset, content_fingerprint, load_tabular

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "DatasetStatus",
    "Split",
    "TabularDataset",
    "class_counts",
    "content_fingerprint",
    "dataset_status",
    "get_dataset_info",
    "load_tabular",
    "make_imbalanced",
    "stratified_split",
]
