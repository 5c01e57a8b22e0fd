"""Factors from files: what was saved is read back, and nothing that could run code is ever opened."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.svm import SVC

from cemag.auditing import factors, load_factors, sklearn_factors
from cemag.embeddings import KernelFeatures
from cemag.embeddings.from_files import _names
from cemag.embeddings.tables import read_csv
from cemag.errors import CemagError, DataError

RNG = np.random.default_rng(0)
F, W, B = RNG.normal(size=(6, 3)).astype(np.float32), RNG.normal(size=(2, 3)), RNG.normal(size=2)
NAMES = np.array(["cat", "dog"])
Y = np.array([0, 1, 0, 0, 1, 1])


@pytest.fixture
def plain(tmp_path):
    """Each part in a file of its own."""
    paths = {"features": F, "weights": W, "bias": B, "labels": Y}
    for name, values in paths.items():
        np.save(tmp_path / f"{name}.npy", values)
    return {name: tmp_path / f"{name}.npy" for name in paths}


def same(made, expected):
    np.testing.assert_allclose(made.ce.logits(), expected.ce.logits(), rtol=1e-12)
    assert (made.y == expected.y).all()
    assert made.ce.classes.dtype.kind == expected.ce.classes.dtype.kind
    for name in ("feature_names", "class_names", "kind", "notes"):
        assert getattr(made, name) == getattr(expected, name)


ROUND = [
    factors(F, W, B, Y),
    factors(F, W, None, NAMES[Y], classes=NAMES, feature_names=["ä", "b", "c"], notes=["One.", "Two."]),
    factors(F, W[:1], 0.5, Y, class_names=["no", "yes"], kind="input column", model_name="mine"),
    factors(KernelFeatures(F, F[:3], 0.2), W, B, Y, kind="support vector"),
]


@pytest.mark.parametrize("made", ROUND, ids=lambda m: m.kind)
def test_saved_factors_are_read_back(made, tmp_path):
    again = load_factors(made.save(tmp_path / "factors.npz"))
    same(again, made)
    assert again.model_name == made.model_name
    assert type(again.ce.features) is type(made.ce.features)
    assert [path.name for path in tmp_path.iterdir()] == ["factors.npz"]


def test_a_large_kernel_is_saved_as_what_it_is_made_of(tmp_path, monkeypatch):
    monkeypatch.setattr("cemag.embeddings.sklearn_steps.KERNEL_IN_MEMORY", 8)
    X, y = make_classification(60, random_state=0)
    made = sklearn_factors(SVC().fit(X, y), X, y)
    same(load_factors(made.save(tmp_path / "f.npz")), made)


def test_a_file_for_each_part(plain):
    same(load_factors(**plain), factors(F, W, B, Y))
    assert load_factors(**plain).model_name == "features"
    del plain["bias"]
    same(load_factors(**plain, model_name="x"), factors(F, W, None, Y))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_have_names_and_labels(suffix, plain, tmp_path):
    table = pd.DataFrame(F.astype(float), columns=["a", "b", "c"]).assign(label=Y)
    path, weights = tmp_path / f"t.{suffix}", tmp_path / f"w.{suffix}"
    heads = pd.DataFrame(W, columns=["a", "b", "c"])
    if suffix == "csv":
        table.to_csv(path, index=False)
        heads.to_csv(weights, index=False)
    else:
        table.to_parquet(path)
        heads.to_parquet(weights)
    expected = factors(F.astype(float), W, B, Y, feature_names=["a", "b", "c"])
    same(load_factors(path, weights, bias=plain["bias"]), expected)
    with pytest.raises(CemagError, match=r"unknown column of labels in .* 'labell': did you mean 'label'"):
        load_factors(path, weights, label_column="labell")


@pytest.mark.parametrize("header", ["", "label\n", "whatever\n"])
def test_labels_in_lines_of_text(header, plain, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(header + "\n".join(NAMES[Y]) + "\n")
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"classes": NAMES.tolist(), "feature_names": list("abc")}))
    made = load_factors(**(plain | {"labels": path, "names": names}))
    assert made.y.tolist() == NAMES[Y].tolist()
    assert made.feature_names == ("a", "b", "c")
    text = tmp_path / "names.txt"
    text.write_text("cat\ndog\n")
    assert load_factors(**(plain | {"labels": path, "names": text})).y.tolist() == Y.tolist()
    (tmp_path / "bias.csv").write_text("0.5\n-1\n")
    same(load_factors(**(plain | {"bias": tmp_path / "bias.csv"})), factors(F, W, [0.5, -1], Y))


def test_a_header_of_column_numbers_is_no_class(tmp_path):
    path = tmp_path / "numbered.csv"
    for header in (True, False):
        pd.DataFrame(W).to_csv(path, index=False, header=header)
        np.testing.assert_allclose(read_csv(path, "weights"), W)


CLEAN = factors(F, W, B, Y, feature_names=list("abc"))
INDEX = np.arange(6) * 3 + 1


def as_tables(folder, **changed):
    """All four parts as text that pandas wrote, with what a test changes."""
    parts = {
        "features": pd.DataFrame(F.astype(float), columns=list("abc")),
        "weights": pd.DataFrame(W, columns=list("abc")),
        "bias": pd.Series(B, name="bias"),
        "labels": pd.Series(Y, name="label"),
    }
    for name, table in (parts | changed).items():
        path = folder / f"{name}.csv"
        path.write_text(table, "utf-8") if isinstance(table, str) else table.to_csv(path)
    return {name: folder / f"{name}.csv" for name in parts}


def test_the_index_of_pandas_is_no_feature(tmp_path):
    same(load_factors(**as_tables(tmp_path)), CLEAN)
    table = pd.DataFrame(F.astype(float), columns=list("abc"))
    same(load_factors(**as_tables(tmp_path, features=table.set_axis(INDEX))), CLEAN)
    same(load_factors(**as_tables(tmp_path, features=table.reset_index().to_csv(index=False))), CLEAN)
    again = pd.read_csv(tmp_path / "features.csv")  # the index as a column, in hand
    same(factors(again, pd.DataFrame(W, columns=list("abc")), B, Y), CLEAN)
    both = table.rename_axis("id"), pd.DataFrame(W, columns=list("abc")).rename_axis("id")
    same(load_factors(**as_tables(tmp_path, features=both[0], weights=both[1])), CLEAN)
    with pytest.raises(DataError, match="other names: 'id' only in features"):
        load_factors(**as_tables(tmp_path, features=both[0]))
    r_style = table.to_csv().lstrip(",")  # no cell above the names of the rows
    same(load_factors(**as_tables(tmp_path, features=r_style)), CLEAN)


def test_columns_are_matched_by_name(tmp_path):
    turned = pd.DataFrame(W, columns=list("abc"))[list("cab")]
    same(load_factors(**as_tables(tmp_path, weights=turned)), CLEAN)
    same(load_factors(**as_tables(tmp_path, weights="\ufeff" + turned.to_csv(index=False))), CLEAN)
    same(factors(F, turned, B, Y, feature_names=list("abc")), CLEAN)
    assert factors(F, turned, B, Y).feature_names == tuple("cab")  # an array takes them as they stand
    numbered = pd.DataFrame(W)[[2, 0, 1]]
    same(factors(F, numbered, B, Y), factors(F, W, B, Y))
    with pytest.raises(DataError, match="other names: 'c' only in features; 'd' only in weights"):
        load_factors(**as_tables(tmp_path, weights=turned.rename(columns={"c": "d"})))
    with pytest.raises(DataError, match="weights has a column twice: 'a'"):
        load_factors(**as_tables(tmp_path, weights="a,b,a\n1,2,3\n3,2,1\n"))
    with pytest.raises(DataError, match="feature_names has the names of the columns of features in another"):
        factors(pd.DataFrame(F, columns=list("abc")), W, B, Y, feature_names=list("cba"))


def test_rows_of_weights_are_classes(tmp_path):
    heads = pd.DataFrame(W, columns=list("abc"), index=NAMES)
    made = load_factors(**as_tables(tmp_path, weights=heads, labels=pd.Series(NAMES[Y], name="label")))
    assert made.class_names == tuple(NAMES)
    assert made.y.tolist() == Y.tolist()
    swapped = heads.set_axis([1, 0])
    assert load_factors(**as_tables(tmp_path, weights=swapped)).ce.classes.tolist() == [1, 0]
    with pytest.raises(DataError, match="class_names has the names of the rows of weights in another order"):
        factors(F, heads, B, Y, class_names=["dog", "cat"])
    with pytest.raises(DataError, match="bias has the names of the rows of weights in another order"):
        factors(F, heads, pd.Series(B, index=NAMES[::-1]), Y)
    rows, labels = pd.DataFrame(F, index=INDEX), pd.Series(Y, index=INDEX)
    with pytest.raises(DataError, match="labels has the names of the rows of features in another order"):
        factors(rows, W, B, labels[::-1])


def test_rows_in_another_order_are_refused_though_one_index_only_counts(tmp_path):
    order = [3, 0, 5, 1, 4, 2]
    table, labels = pd.DataFrame(F.astype(float), columns=list("abc")), pd.Series(Y, name="label")
    for rows, truth in ((table.loc[order], labels), (table, labels[order])):
        with pytest.raises(DataError, match="labels has the names of the rows of features in another order"):
            factors(rows, W, B, truth)
        with pytest.raises(DataError, match="labels has the names of the rows of features in another order"):
            load_factors(**as_tables(tmp_path, features=rows, labels=truth))
    assert factors(table.loc[order], W, B, labels[order]).y.tolist() == Y[order].tolist()
    lines = labels[order].to_csv(index=False)  # of rows without an index nothing is known
    made = load_factors(**as_tables(tmp_path, features=table.loc[order], labels=lines))
    assert made.y.tolist() == Y[order].tolist()


@pytest.mark.parametrize(
    "names", [("True", "False"), ("NA", "None"), ("01", "1"), ("1", "0"), ("nan", "null"), ("1.0", "2.50")]
)
@pytest.mark.parametrize("header", ["", "label\n"])
def test_a_label_that_reads_like_a_class_name_is_that_class(names, header, plain, tmp_path):
    labels = [names[one] for one in Y]
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(names), "utf-8")
    (tmp_path / "labels.csv").write_text("\ufeff" + header + "\n".join(labels) + "\n", "utf-8")
    made = load_factors(**(plain | {"labels": tmp_path / "labels.csv", "names": tmp_path / "names.txt"}))
    assert [made.class_names[one] for one in made.y] == labels
    table = pd.DataFrame(F, columns=list("abc")).assign(label=labels)
    table.to_csv(tmp_path / "t.csv", index=False)
    inside = load_factors(tmp_path / "t.csv", plain["weights"], names=tmp_path / "names.txt")
    assert inside.y.tolist() == made.y.tolist()


def test_labels_without_names_are_numbers_truth_values_or_refused(plain, tmp_path):
    for labels in (Y, Y.astype(float), Y.astype(bool)):
        pd.Series(labels, name="label").to_csv(tmp_path / "labels.csv", index=False)
        assert load_factors(**(plain | {"labels": tmp_path / "labels.csv"})).y.tolist() == Y.tolist()
    for odd in ("01", "NA", '""', "True"):
        (tmp_path / "labels.csv").write_text("\n".join(["label", *map(str, Y[:5]), odd]) + "\n")
        with pytest.raises(CemagError, match=r"labels holds .* in row"):
            load_factors(**(plain | {"labels": tmp_path / "labels.csv"}))


def test_truth_values_and_numbers_beside_names_that_read_like_them(plain):
    truth = factors(F, W, B, Y == 0, class_names=["True", "False"])
    assert truth.y.tolist() == Y.tolist()
    with pytest.raises(DataError, match="class_names are '1', '0', which read like the numbers of other cla"):
        factors(F, W, B, Y, class_names=["1", "0"])
    for names in (["1.0", "0.0"], ["01", "00"], ["-1", "0"]):
        with pytest.raises(DataError, match="which read like the numbers of other classes"):
            factors(F, W, B, Y.astype(float), class_names=names)
    assert factors(F, W, B, Y, class_names=["1", "0"], classes=[0, 1]).y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("3,7,9\n0.5,1.5,2.5\n1.5,0.5,0.5\n", r"first line of .* \(3, 7, 9\) may be a header"),
        ("a;b;c\n0.5;1.5;2.5\n1.5;0.5;0.5\n", "separated by ';': commas are needed"),
        ("a\tb\tc\n0.5\t1.5\t2.5\n1.5\t0.5\t0.5\n", r"separated by '\\t': commas are needed"),
        ("a,b,\n0.5,1.5,2.5\n1.5,0.5,0.5\n", "column 2 has no name"),
        (",b,c\n0.5,1.5,2.5\n1.5,0.5,0.5\n", "the first column has no name .* and is no index"),
        ("a,b,c\n0.5,x,2.5\n1.5,0.5,0.5\n", "not numbers in column 'b'"),
        ("a,b,c\n0.5,NA,2.5\n1.5,0.5,0.5\n", "weights holds 1 NaN"),
        ("0\n0.5\n1.5\n", r"first line of .* \(0\) may be a header"),
    ],
)
def test_tables_that_could_be_read_in_two_ways_are_refused(text, says, tmp_path):
    with pytest.raises(CemagError, match=says) as caught:
        load_factors(**as_tables(tmp_path, weights=text))
    assert "\n" not in str(caught.value)


def test_tables_without_a_header(tmp_path):
    bare = {"features": pd.DataFrame(F.astype(float)), "weights": pd.DataFrame(W), "bias": pd.Series(B)}
    texts = {name: table.to_csv(index=False, header=False) for name, table in bare.items()}
    same(load_factors(**as_tables(tmp_path, **texts)), factors(F, W, B, Y))


def test_names_that_are_none(tmp_path):
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "odd.json").write_text('{"classes": [{}, 1]}')
    (tmp_path / "twice.json").write_text('{"feature_names": ["a", "a", "b", "c"]}')
    for name, says in {"latin.txt": "not text in UTF-8", "odd.json": "strings or numbers"}.items():
        with pytest.raises(CemagError, match=says):
            _names(tmp_path / name)
    with pytest.raises(DataError, match="feature_names holds a name twice: a"):
        factors(np.ones((2, 3)), np.eye(2, 3), labels=[0, 1], feature_names=["a", "a", "b"])


def test_features_are_mapped_and_not_read(plain, monkeypatch):
    seen = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: seen.append((a[0].name, k)) or load(*a, **k))
    load_factors(**plain)
    assert ("features.npy", {"mmap_mode": "r", "allow_pickle": False}) in seen


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_nothing_is_ever_unpickled(plain, tmp_path):
    for suffix in ("pkl", "joblib", "pt"):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(pickle.dumps(Trap()))
        with pytest.raises(CemagError, match=r"run code when they are opened and are never read"):
            load_factors(**(plain | {"features": path}))
    objects = np.empty(6, dtype=object)
    objects[:] = [Trap() for _ in range(6)]
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    with pytest.raises(CemagError, match="holds pickled objects, which are never read"):
        load_factors(**(plain | {"labels": tmp_path / "objects.npy"}))
    np.savez(tmp_path / "objects.npz", features=F, weights=W, labels=objects)
    with pytest.raises(CemagError, match="holds pickled objects"):
        load_factors(tmp_path / "objects.npz")


def test_files_that_cannot_be_read(plain, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing at all")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    for suffix in ("npy", "npz", "parquet"):
        with pytest.raises(CemagError, match=rf"bad.{suffix}: not a readable .{suffix} file") as caught:
            load_factors(**(plain | {"features": tmp_path / f"bad.{suffix}"}))
        assert "\n" not in str(caught.value)
    (tmp_path / "disguised.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CemagError, match=r"not a readable \.npy file \(it starts as none does"):
        load_factors(**(plain | {"features": tmp_path / "disguised.npy"}))
    np.savez(tmp_path / "odd.npz", features=F, weigths=W)
    np.savez(tmp_path / "few.npz", features=F, weights=W)
    np.savez(tmp_path / "none.npz", weights=W, labels=Y)
    few = {"features": tmp_path / "few.npz"}
    bad = [
        ({"features": tmp_path / "no.npy"}, "no.npy: no such file"),
        ({"features": tmp_path / "x.txt"}, r"features are read from \.npy, \.npz, \.parquet, \.csv"),
        ({"features": tmp_path / "odd.npz"}, "unknown array in .* 'weigths': did you mean 'weights'"),
        ({"features": tmp_path / "none.npz"}, "holds no array named 'features'"),
        (few, r"few.npz holds no labels: give labels=PATH"),
        ({"features": plain["features"], "labels": plain["labels"]}, "holds no weights: give weights=PATH"),
        (plain | {"labels": plain["bias"]}, r"labels has shape \(2,\)"),
        (plain | {"names": tmp_path / "no.json"}, "no.json: no such file"),
        (plain | {"names": plain["labels"]}, r"names are read from \.json or \.txt"),
        (few | {"weights": tmp_path / "none.npz", "labels": plain["labels"]}, None),
    ]
    for given, message in bad:
        if message is None:
            same(load_factors(**given), factors(F, W, None, Y))
            continue
        with pytest.raises(CemagError, match=message):
            load_factors(**given)
    for text, message in [("{", "not valid JSON"), ("[]", "an object"), ('{"class": []}', "unknown name")]:
        (tmp_path / "n.json").write_text(text)
        with pytest.raises(CemagError, match=message):
            load_factors(**plain, names=tmp_path / "n.json")
    np.save(tmp_path / "bad.npy", np.full((6, 3), np.inf))
    with pytest.raises(DataError, match="features holds 0 NaN and 18 infinite values"):
        load_factors(**(plain | {"features": tmp_path / "bad.npy"}))
