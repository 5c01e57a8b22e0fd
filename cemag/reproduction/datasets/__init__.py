"""Data sets: what they are, where they come from, how they are thinned and split.

Reads files and may download one; writes only to the per-user cache. Importing it loads NumPy and
nothing heavier.

Examples
--------
>>> from cemag.reproduction.datasets import load_tabular, stratified_split
>>> data = load_tabular("breast_cancer")
>>> data.X.shape, data.info.class_counts
((569, 30), (357, 212))
"""

from cemag.reproduction.datasets.image_registry import IMAGE_DATASETS, ImageInfo, get_image_info
from cemag.reproduction.datasets.image_sources import download_images, image_status
from cemag.reproduction.datasets.image_subsets import subsample_images
from cemag.reproduction.datasets.images import ImageDataset, load_images
from cemag.reproduction.datasets.imbalance import class_counts, make_imbalanced
from cemag.reproduction.datasets.registry import DATASETS, DatasetInfo, get_dataset_info
from cemag.reproduction.datasets.sources import DatasetStatus, dataset_status
from cemag.reproduction.datasets.splits import Split, stratified_split
from cemag.reproduction.datasets.tabular import TabularDataset, content_fingerprint, load_tabular

__all__ = [
    "DATASETS",
    "IMAGE_DATASETS",
    "DatasetInfo",
    "DatasetStatus",
    "ImageDataset",
    "ImageInfo",
    "Split",
    "TabularDataset",
    "class_counts",
    "content_fingerprint",
    "dataset_status",
    "download_images",
    "get_dataset_info",
    "get_image_info",
    "image_status",
    "load_images",
    "load_tabular",
    "make_imbalanced",
    "stratified_split",
    "subsample_images",
]
