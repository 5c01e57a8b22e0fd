"""`cemag audit` and `cemag compare`: from files to words, a report and tables; bad input is one line."""

import numpy as np
import pytest
import torch

from cemag.auditing import digits_example, read_audit
from cemag.models.resnet import resnet


class Unwanted:
    """What a checkpoint may not hold: an object, which only unpickling brings back."""


@pytest.fixture(scope="module")
def example():
    return digits_example()


@pytest.fixture
def files(example, tmp_path):
    ce = example.factors.ce
    np.save(tmp_path / "f.npy", ce.features)
    np.save(tmp_path / "w.npy", ce.weights)
    np.save(tmp_path / "b.npy", ce.bias)
    np.save(tmp_path / "y.npy", example.factors.y)
    names = ("features", "f.npy"), ("weights", "w.npy"), ("bias", "b.npy"), ("labels", "y.npy")
    return [part for name, file in names for part in (f"--{name}", tmp_path / file)]


def test_plain_factors_give_words_a_report_and_tables(command_line, files, example, tmp_path):
    counts = ",".join(map(str, example.class_counts))
    where = ["--report", tmp_path / "out.html", "--tables", tmp_path / "tables"]
    status, out, err = command_line("audit", *files, "--counts", counts, *where)
    assert (status, err) == (0, "")
    assert "Minority classes need" in out
    audit = read_audit(tmp_path / "tables")
    assert audit.summary() in out
    assert audit.per_class["size"].tolist() == example.class_counts
    assert "<!doctype html>" in (tmp_path / "out.html").read_text()


def test_one_file_of_factors_gives_the_same(command_line, files, example, tmp_path):
    path = example.factors.save(tmp_path / "factors.npz")
    status, _, _ = command_line("audit", "--factors", path, "--tables", tmp_path / "one")
    assert status == 0
    command_line("audit", *files, "--tables", tmp_path / "other")
    one, other = (read_audit(tmp_path / name).per_class for name in ("one", "other"))
    assert one["required"].equals(other["required"])
    assert one["recall"].equals(other["recall"])


def test_two_audits_are_compared(command_line, example, tmp_path):
    for name, weight in (("before", None), ("after", "balanced")):
        path = digits_example(class_weight=weight).factors.save(tmp_path / f"{name}.npz")
        command_line("audit", "--factors", path, "--tables", tmp_path / name)
    status, out, err = command_line("compare", tmp_path / "before", tmp_path / "after")
    assert (status, err) == (0, "")
    assert "recall, all classes" in out
    assert "on the same instances" in out


def test_a_network_is_audited_on_the_test_part_of_its_set(command_line, tmp_path):
    network = resnet("resnet20", 10, 1, seed=3)
    torch.save(network.state_dict(), tmp_path / "net.pt")
    status, out, err = command_line(
        "audit", "--checkpoint", tmp_path / "net.pt", "--arch", "resnet20", "--data", "digits_images"
    )
    assert (status, err) == (0, "")
    assert "resnet20 from net.pt, on the test part of digits_images" in out
    assert "64 CEs a class" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of --features with --weights and --labels, --factors, --record, or --checkpoint is needed"),
        (["--features", "f.npy"], "--weights, --labels missing"),
        (["--factors", "a.npz", "--checkpoint", "b.pt"], "given: --factors, --checkpoint"),
        (["--factors", "nowhere.npz"], "nowhere.npz"),
        (["--factors", "model.pkl"], "pkl"),
        (["--checkpoint", "nowhere.pt"], "nowhere.pt"),
        (["--checkpoint", "x.pt", "--data", "cifar100"], "unknown image set 'cifar100'"),
        (["--factors", "x.npz", "--report", "no/such/folder.html"], "no such folder"),
        (["--factors", "x.npz", "--tables", "."], "exists already"),
        (["--factors", "x.npz", "--counts", "many"], "counts is 'many'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(command_line, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    digits_example().factors.save(tmp_path / "x.npz")
    status, out, err = command_line("audit", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_network_of_other_classes_than_the_data_is_refused(command_line, tmp_path):
    torch.save(resnet("resnet20", 7, 1).state_dict(), tmp_path / "net.pt")
    options = ["--arch", "resnet20", "--data", "digits_images"]
    status, _, err = command_line("audit", "--checkpoint", tmp_path / "net.pt", *options)
    assert status == 2
    assert "a network of 7 classes, and digits_images has 10" in err
    torch.save(Unwanted(), tmp_path / "code.pt")
    status, _, err = command_line("audit", "--checkpoint", tmp_path / "code.pt", *options)
    assert status == 2
    assert "code.pt" in err


def test_a_folder_that_is_no_audit_is_named(command_line, tmp_path):
    status, out, err = command_line("compare", tmp_path, tmp_path)
    assert (status, out) == (2, "")
    assert "not a readable audit" in err
