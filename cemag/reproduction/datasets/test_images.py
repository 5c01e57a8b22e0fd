"""Images come out the same whatever held them; every damage is one line that names the file and the row."""

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cemag.errors import DataError, SpecError, UnknownNameError
from cemag.reproduction.datasets import (
    DATASETS,
    IMAGE_DATASETS,
    image_cache,
    image_status,
    images,
    load_images,
    sources,
    subsample_images,
)

GIVEN = os.environ.get("CEMAG_DATA")
HELD = Path(GIVEN).absolute() if GIVEN else Path(__file__).parents[4] / "shared" / "data"
PACKS = ("cifar10", "miniplaces", "tiny_imagenet_taxa")
NAMES = ("cat", "dog", "eel")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No test reads this user's data or cache, or downloads."""
    monkeypatch.delenv("CEMAG_DATA", raising=False)
    monkeypatch.setattr(sources, "_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "decoded"


def picture(rng: np.random.Generator, size: tuple[int, int] = (6, 6)) -> np.ndarray:
    return rng.integers(0, 256, (size[1], size[0], 3), np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_pack(path: Path, contents: list[bytes | None], labels: list[int], names=NAMES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": content, "path": f"{i:03}.png"} for i, content in enumerate(contents)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"label": {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), path)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack of Places with three classes, 4, 3 and 2 to train on; returns its data folder."""
    rng = np.random.default_rng(0)
    home = tmp_path / "home"
    for part, labels in (("train", [0, 1, 2, 0, 1, 2, 0, 1, 0]), ("test", [2, 1, 0])):
        write_pack(home / f"places/{part}.parquet", [encoded(picture(rng)) for _ in labels], labels)
    return home


def test_registries_are_apart_and_the_taxa_go_by_their_own_name() -> None:
    assert not set(DATASETS) & set(IMAGE_DATASETS)
    taxa = IMAGE_DATASETS["tiny_imagenet_taxa"]
    assert "inaturalist" not in f"{taxa.title} {taxa.notes} {taxa.source} {taxa.citation}".lower()
    for info in IMAGE_DATASETS.values():
        assert len(info.class_names) == len(info.train_counts) == len(info.test_counts)


def test_digits_are_embedded() -> None:
    data = load_images("digits_images")
    assert data.X_train.shape == (1438, 8, 8, 1)
    assert data.X_train.dtype == np.uint8
    assert data.info == IMAGE_DATASETS["digits_images"]
    assert data.fingerprint.startswith("d93322862af2")
    assert not data.X_train.flags.writeable
    assert image_status("digits_images").where == "embedded"


@pytest.fixture(scope="session")
def decoded_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.xdist_group("packs")
@pytest.mark.parametrize("name", PACKS)
def test_real_packs(name: str, monkeypatch: pytest.MonkeyPatch, decoded_packs: Path) -> None:
    if not (HELD / name / "train.parquet").is_file():
        pytest.skip(f"no pack of {name} under {HELD}: set CEMAG_DATA")
    monkeypatch.setenv("CEMAG_DATA", str(HELD))
    monkeypatch.setattr(sources, "_cache", lambda: decoded_packs)
    info, data = IMAGE_DATASETS[name], load_images(name)
    side = info.native_size
    assert data.X_train.shape == (sum(info.train_counts), side, side, 3)
    assert data.X_test.shape == (sum(info.test_counts), side, side, 3)
    assert (data.info.train_counts, data.class_names) == (info.train_counts, info.class_names)
    assert str(HELD / name) in data.source
    assert ("JPEG copy" in data.info.notes) == (name == "cifar10")
    # decoded one by one, in the same order
    column = pq.ParquetFile(HELD / name / "train.parquet").read_row_group(0)["image"].to_pylist()[:50]
    literal = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in column]
    np.testing.assert_array_equal(data.X_train[:50], literal)
    monkeypatch.setattr(images, "decode_images", lambda *_, **__: pytest.fail("decoded twice"))
    again = load_images(name)
    assert again.fingerprint == data.fingerprint
    if name == "cifar10":
        kept = subsample_images(data.y_train, profile="exp", imbalance_ratio=100, n_max=5000, subset_seed=1)
        assert np.bincount(data.y_train[kept]).tolist() == [
            5000,
            2997,
            1796,
            1077,
            645,
            387,
            232,
            139,
            83,
            50,
        ]


def test_chosen_classes_are_numbered_as_given(pack: Path) -> None:
    whole = load_images("places", data_home=pack)
    assert whole.X_train.shape == (9, 6, 6, 3)
    assert whole.info.train_counts == (4, 3, 2)
    some = load_images("places", data_home=pack, classes=["eel", 0])
    assert some.class_names == some.info.class_names == ("eel", "cat")
    assert some.y_train.tolist() == [1, 0, 1, 0, 1, 1]
    np.testing.assert_array_equal(some.X_train, whole.X_train[whole.y_train != 1])
    assert some.y_test.tolist() == [0, 1]
    other = load_images("places", data_home=pack, classes=["cat", "eel"])
    assert len({whole.fingerprint, some.fingerprint, other.fingerprint}) == 3
    assert load_images("places", data_home=pack, classes=[0, 1, 2]).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["cat", "dgo"], "did you mean 'dog'"),
        ([0, 3], "it must be 0 to 2"),
        ([0, -1], "it must be 0 to 2"),
        ([0, True], "a name or a number"),
        ([0, "cat"], "'cat' twice"),
        ([1], "at least 2"),
        ("cat", "must be a list"),
    ],
)
def test_classes_that_cannot_be_chosen(pack: Path, classes, says: str) -> None:
    with pytest.raises((SpecError, UnknownNameError), match=says):
        load_images("places", data_home=pack, classes=classes)


@pytest.mark.parametrize("size", [3, 1025, 8.0, True, "8"])
def test_sizes_that_cannot_be(size) -> None:
    with pytest.raises(SpecError, match="size is"):
        load_images("digits_images", size=size)


def test_resize_is_that_of_pil_on_the_central_square(tmp_path: Path) -> None:
    pixels = picture(np.random.default_rng(1), size=(20, 12))
    for part in ("train", "test"):
        write_pack(tmp_path / f"places/{part}.parquet", [encoded(pixels), encoded(pixels)], [0, 1], NAMES[:2])
    assert load_images("places", data_home=tmp_path).X_train.shape == (2, 12, 20, 3)
    data = load_images("places", data_home=tmp_path, size=8)
    literal = Image.fromarray(pixels[:, 4:16]).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(data.X_train[0], literal)
    np.testing.assert_array_equal(
        load_images("places", data_home=tmp_path, size=12).X_test[1], pixels[:, 4:16]
    )


def test_images_of_several_sizes_need_a_size(pack: Path) -> None:
    rng = np.random.default_rng(2)
    contents = [encoded(picture(rng)), encoded(picture(rng, (5, 7))), encoded(picture(rng))]
    write_pack(pack / "places/train.parquet", contents, [0, 1, 2])
    with pytest.raises(DataError, match=r"row 1 \(001.png\) is 5x7\): give a size"):
        load_images("places", data_home=pack)
    assert load_images("places", data_home=pack, size=6).X_train.shape == (3, 6, 6, 3)


@pytest.mark.parametrize("damage", ["noise", "cut", "empty", "none"])
def test_an_image_that_does_not_decode_is_named(pack: Path, damage: str) -> None:
    rng = np.random.default_rng(3)
    contents: list[bytes | None] = [encoded(picture(rng, (32, 32)), "JPEG") for _ in range(600)]
    whole = contents[417]
    assert whole is not None
    contents[599] = b""
    contents[417] = {"noise": b"no image", "cut": whole[: len(whole) // 2], "empty": b"", "none": None}[
        damage
    ]
    write_pack(pack / "places/train.parquet", contents, [0, 1, 2] * 200)
    with pytest.raises(DataError) as caught:
        load_images("places", data_home=pack)
    message = str(caught.value)
    assert message.startswith(f"places: {pack / 'places/train.parquet'}, row 417 (417.png) does not decode (")
    assert "\n" not in message
    assert "0x" not in message
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_damaged_and_strange_packs(pack: Path) -> None:
    path = pack / "places/train.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"train.parquet, which is cut short or damaged"):
        load_images("places", data_home=pack)
    pq.write_table(pa.table({"pixels": [1]}), path)
    with pytest.raises(DataError, match="not in Hugging Face's image layout"):
        load_images("places", data_home=pack)
    image = encoded(picture(np.random.default_rng(0)))
    write_pack(path, [image] * 2, [0, 3])
    with pytest.raises(DataError, match="row 1: label 3 of 3 classes"):
        load_images("places", data_home=pack)
    write_pack(path, [image] * 2, [0, 1])
    with pytest.raises(DataError, match="no training image of class eel"):
        load_images("places", data_home=pack)
    path.unlink()
    with pytest.raises(DataError, match=r"no file .*train\.parquet"):
        load_images("places", data_home=pack)


def test_a_pack_is_held_to_the_registry(tmp_path: Path) -> None:
    image = encoded(picture(np.random.default_rng(0)))
    names = IMAGE_DATASETS["cifar10"].class_names
    for part in ("train", "test"):
        write_pack(tmp_path / f"cifar10/{part}.parquet", [image] * 10, list(range(10)), names)
    with pytest.raises(DataError, match="1 images of class airplane, 5000 expected"):
        load_images("cifar10", data_home=tmp_path)
    write_pack(tmp_path / "cifar10/train.parquet", [image] * 10, list(range(10)), names[::-1])
    with pytest.raises(DataError, match="name different classes"):
        load_images("cifar10", data_home=tmp_path)


def test_a_lossless_pack_is_not_called_a_jpeg_copy(pack: Path) -> None:
    assert "JPEG" not in load_images("places", data_home=pack).source
    image = encoded(picture(np.random.default_rng(0)), "JPEG")
    write_pack(pack / "places/train.parquet", [image] * 3, [0, 1, 2])
    assert load_images("places", data_home=pack).source.endswith("(JPEG)")


def test_the_cache_is_used_until_a_file_changes(pack: Path, cache: Path, monkeypatch) -> None:
    first = load_images("places", data_home=pack)
    decode, calls = images.decode_images, []
    monkeypatch.setattr(images, "decode_images", lambda *a, **k: calls.append(1) or decode(*a, **k))
    again = load_images("places", data_home=pack)
    assert not calls
    assert (again.fingerprint, again.info, again.source) == (first.fingerprint, first.info, first.source)
    np.testing.assert_array_equal(again.X_train, first.X_train)
    load_images("places", data_home=pack, size=4)
    assert len(calls) == 2
    rng = np.random.default_rng(9)
    write_pack(pack / "places/test.parquet", [encoded(picture(rng)) for _ in range(3)], [2, 1, 0])
    assert load_images("places", data_home=pack).fingerprint != first.fingerprint
    assert len(calls) == 4
    assert not list(cache.glob(".writing-*"))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_cache_is_decoded_anew(pack: Path, cache: Path, suffix: str, damage: str, caplog) -> None:
    first = load_images("places", data_home=pack)
    fingerprint, pixels = first.fingerprint, first.X_train.copy()
    (kept,) = cache.glob(f"*{suffix}")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.unlink()
    if damage != "gone":
        kept.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    again = load_images("places", data_home=pack)
    assert again.fingerprint == fingerprint
    np.testing.assert_array_equal(again.X_train, pixels)
    assert ("is damaged" in caplog.text) == ((suffix, damage) != (".npz", "gone"))


def test_the_last_used_few_stay_and_a_cache_that_cannot_be_written_costs_nothing_else(
    pack: Path, cache: Path, tmp_path: Path, monkeypatch
) -> None:
    for size in range(4, 4 + image_cache.KEPT + 2):
        load_images("places", data_home=pack, size=size)
    assert len(list(cache.glob("*.npz"))) == len(list(cache.glob("*.npy"))) == image_cache.KEPT
    (tmp_path / "a file").touch()
    monkeypatch.setattr(sources, "_cache", lambda: tmp_path / "a file")
    assert load_images("places", data_home=pack).X_train.shape == (9, 6, 6, 3)


def test_fingerprints_depend_on_content_alone(pack: Path, tmp_path: Path) -> None:
    first = load_images("places", data_home=pack)
    for part, pixels, labels in (
        ("train", first.X_train, first.y_train),
        ("test", first.X_test, first.y_test),
    ):
        for row, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = tmp_path / f"tree/places/{part}/{NAMES[label]}/{row}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    tree = load_images("places", data_home=tmp_path / "tree")
    assert tree.class_names == NAMES
    order = {
        part: np.argsort(y, kind="stable") for part, y in (("train", first.y_train), ("test", first.y_test))
    }
    np.testing.assert_array_equal(tree.X_train, first.X_train[order["train"]])
    assert tree.fingerprint != first.fingerprint  # the order counts
    for part, pixels, labels in (
        ("train", first.X_train, first.y_train),
        ("test", first.X_test, first.y_test),
    ):
        rows = order[part]
        write_pack(pack / f"places/{part}.parquet", [encoded(x) for x in pixels[rows]], labels[rows].tolist())
    assert load_images("places", data_home=pack).fingerprint == tree.fingerprint


def test_an_array_that_would_not_fit_is_refused(pack: Path, monkeypatch) -> None:
    monkeypatch.setattr("cemag.reproduction.datasets.image_decode.MAX_BYTES", 500)
    with pytest.raises(DataError, match="choose classes or a smaller size"):
        load_images("places", data_home=pack)
