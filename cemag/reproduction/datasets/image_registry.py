"""The registry of image sets: source, licence, citation, classes and counts of each. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cemag.errors import check_known

__all__ = ["IMAGE_DATASETS", "ImageInfo", "get_image_info"]

JPEG_COPY = (
    "Read from a JPEG copy of CIFAR-10 (quality about 75; mean PSNR 30.5 dB against the lossless originals "
    "on 4,000 of them): all images are there, accuracy is a few points lower than on lossless CIFAR-10."
)
IMAGENET_TERMS = "ImageNet's terms: non-commercial research and education (not checked at the source)"

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@dataclass(frozen=True)
class ImageInfo:
    """What is known of one image set before a file of it is read.

    Attributes
    ----------
    name, title : str
        Name in `IMAGE_DATASETS`; title for the reader.
    kind : {"image"}
    source : str
        Address of the original, or ``"shipped with scikit-learn"``.
    licence : str
        As the source states it, or that it does not.
    bib_key, citation : str
        Key for a bibliography; the reference in words.
    class_names : tuple of str
        In the order of the labels; empty where the folder or pack that is read decides.
    train_counts, test_counts : tuple of int
        Images of each class; empty where the folder or pack decides. What is read is held to them.
    native_size : int or None
        Side in pixels; None where images differ.
    channels : {1, 3}
    download : str
        What `load_images` or `download_images` would fetch, with its size; empty if nothing can be fetched.
    notes : str
        What a reader of results must know.

    Examples
    --------
    >>> info = get_image_info("tiny_imagenet_taxa")
    >>> info.class_names, info.embedded
    (('Mammalia', 'Insecta', 'Plantae', 'Aves', 'Reptilia'), False)
    """

    name: str
    title: str
    source: str
    licence: str
    bib_key: str
    citation: str
    class_names: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()
    test_counts: tuple[int, ...] = ()
    native_size: int | None = None
    channels: Literal[1, 3] = 3
    download: str = ""
    notes: str = ""
    kind: Literal["image"] = "image"

    @property
    def embedded(self) -> bool:
        """Whether the data is there without any file or download."""
        return self.name == "digits_images"


_SETS = (
    ImageInfo(
        name="digits_images",
        title="Handwritten digits, 8x8",
        source="shipped with scikit-learn",
        licence="CC BY 4.0, as the UCI repository states for the original",
        bib_key="alpaydin1998digits",
        citation=(
            "E. Alpaydin, C. Kaynak. Cascading classifiers. Kybernetika 34(4), 369-374, 1998. "
            "UCI, doi:10.24432/C50P49."
        ),
        class_names=tuple("0123456789"),
        train_counts=(142, 146, 142, 146, 145, 146, 145, 143, 139, 144),
        test_counts=(36, 36, 35, 37, 36, 36, 36, 36, 35, 36),
        native_size=8,
        channels=1,
        notes=(
            "Not one of the paper's sets. UCI's test partition alone, a fifth of each class held out by a "
            "fixed seed; the 17 ink levels are spread over 0 to 255."
        ),
    ),
    ImageInfo(
        name="cifar10",
        title="CIFAR-10",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="not stated by the source",
        bib_key="krizhevsky2009learning",
        citation=(
            "A. Krizhevsky. Learning multiple layers of features from tiny images. Technical report, "
            "University of Toronto, 2009."
        ),
        class_names=CIFAR10_CLASSES,
        train_counts=(5000,) * 10,
        test_counts=(1000,) * 10,
        native_size=32,
        download="cifar-10-binary.tar.gz, 162 MB",
        notes="Balanced as it comes: the paper thins it to 100:1.",
    ),
    ImageInfo(
        name="places",
        title="Places365",
        source="http://places2.csail.mit.edu",
        licence="non-commercial research and education (as its pages are quoted; not checked at the source)",
        bib_key="zhou2018places",
        citation=(
            "B. Zhou, A. Lapedriza, A. Khosla, A. Oliva, A. Torralba. Places: a 10 million image database "
            "for scene recognition. IEEE Transactions on Pattern Analysis and Machine Intelligence 40(6), "
            "1452-1464, 2018."
        ),
        download="Places365-standard, training and validation images at 256 pixels, some 26 GB",
        notes="The paper takes five classes and does not name them. The validation part serves as test set.",
    ),
    ImageInfo(
        name="inaturalist",
        title="iNaturalist 2021",
        source="https://github.com/visipedia/inat_comp",
        licence=(
            "non-commercial research and education; each photograph under its owner's licence (not checked "
            "at the source)"
        ),
        bib_key="vanhorn2018inaturalist",
        citation=(
            "G. Van Horn, O. Mac Aodha, Y. Song, Y. Cui, C. Sun, A. Shepard, H. Adam, P. Perona, "
            "S. Belongie. The iNaturalist species classification and detection dataset. CVPR 2018, 8769-8778."
        ),
        download="2021_train_mini and 2021_valid, some 50 GB",
        notes=(
            "Species are grouped into iNaturalist's iconic taxa (Plantae, Insecta, Aves, Reptilia, Mammalia "
            "and so on), whose natural imbalance is kept. The validation part serves as test set."
        ),
    ),
    ImageInfo(
        name="miniplaces",
        title="MiniPlaces, ten classes",
        source="https://github.com/CSAILVision/miniplaces",
        licence="as of Places, of which it is a subset (not checked at the source)",
        bib_key="zhou2018places",
        citation=(
            "A subset of B. Zhou, A. Lapedriza, A. Khosla, A. Oliva, A. Torralba. Places: a 10 million image "
            "database for scene recognition. IEEE TPAMI 40(6), 1452-1464, 2018."
        ),
        class_names=(
            "airport_terminal",
            "amusement_park",
            "aquarium",
            "baseball_field",
            "shed",
            "runway",
            "bedroom",
            "mountain",
            "coast",
            "rainforest",
        ),
        train_counts=(900,) * 10,
        test_counts=(100,) * 10,
        native_size=64,
        notes=(
            "Five of its classes stand where the paper uses five classes of Places. Balanced as it comes; "
            "JPEG at quality 95 after a resize to 64 pixels."
        ),
    ),
    ImageInfo(
        name="tiny_imagenet_taxa",
        title="Tiny-ImageNet grouped by taxon",
        source="https://www.image-net.org",
        licence=IMAGENET_TERMS,
        bib_key="le2015tiny",
        citation="Y. Le, X. Yang. Tiny ImageNet visual recognition challenge. CS 231N, Stanford, 2015.",
        class_names=("Mammalia", "Insecta", "Plantae", "Aves", "Reptilia"),
        train_counts=(13000, 5000, 3500, 2000, 1000),
        test_counts=(1300, 500, 350, 200, 100),
        native_size=32,
        notes=(
            "Tiny-ImageNet's living things under five taxa, with a natural long tail: a stand-in for the "
            "paper's five taxa, not the set that the paper uses. JPEG at 32 pixels."
        ),
    ),
)

IMAGE_DATASETS: Mapping[str, ImageInfo] = MappingProxyType({info.name: info for info in _SETS})
"""Every known image set by name: the embedded default, the paper's three, then the local stand-ins."""


def get_image_info(name: str) -> ImageInfo:
    """Look up an image set by its name.

    Parameters
    ----------
    name : str
        Name in `IMAGE_DATASETS`.

    Returns
    -------
    ImageInfo

    Raises
    ------
    UnknownNameError
        If there is no such set; the nearest known name is suggested.

    Examples
    --------
    >>> get_image_info("cifar10").train_counts[0]
    5000
    """
    return IMAGE_DATASETS[check_known("image set", name, IMAGE_DATASETS)]
