"""Does the training reach what the long-tailed literature reports? One run of the standard recipe.

``python benchmarks/learning_curve.py --out results/benchmarks/learning.jsonl`` trains ResNet-32 on the whole
of long-tailed CIFAR-10 (100:1, 12,406 images, 200 epochs) with plain cross-entropy and writes a line every
few epochs, which the book plots. With ``--checkpoint`` it may be stopped at any moment and called again:
epochs whose line is there already are not written twice. Some two hours on 2 cores, minutes on a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from cemag.models.images import CIFAR10
from cemag.models.resnet import resnet
from cemag.reproduction.datasets import load_images, subsample_images
from cemag.reproduction.training import RECIPES, Progress, predict_logits, train

EVERY = 4  # epochs
CIFAR_RECIPES = [name for name, recipe in RECIPES.items() if recipe.mean == CIFAR10.mean]


def written(path: Path | None) -> set[int]:
    """Epochs of which a line is there."""
    if path is None or not path.exists():
        return set()
    return {json.loads(line)["epoch"] for line in path.read_text(encoding="utf-8").splitlines()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet32")
    parser.add_argument("--recipe", default="long_tailed_200", choices=CIFAR_RECIPES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-home", help="default: CEMAG_DATA, or what torchvision downloaded")
    parser.add_argument("--checkpoint", help="read and written every few epochs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.recipe]
    data = load_images("cifar10", data_home=arguments.data_home)
    rows = subsample_images(
        data.y_train, profile="exp", imbalance_ratio=100, n_max=5000, subset_seed=0,
        class_names=data.class_names,
    )  # fmt: skip
    X, y = data.X_train[rows], data.y_train[rows]
    model = resnet(arguments.network, len(data.class_names), X.shape[-1], seed=arguments.seed)
    done = written(arguments.out)
    of_all_lines = {
        "network": arguments.network,
        "dataset": "cifar10",
        "notes": data.info.notes,
        "fingerprint": data.fingerprint,
        "n_train": len(y),
        "recipe": arguments.recipe,
        "subset_seed": 0,
        "seed": arguments.seed,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }

    def after_epoch(progress: Progress) -> None:
        last = progress.step == progress.steps
        if not last or progress.epoch in done or (progress.epoch % EVERY and progress.epoch > EVERY):
            return
        predicted = predict_logits(model, data.X_test, CIFAR10).argmax(axis=1)
        hit = predicted == data.y_test
        line = of_all_lines | {
            "epoch": progress.epoch,
            "lr": recipe.learning_rate(progress.epoch - 1),
            "train_loss": round(progress.loss, 4),
            "train_accuracy": round(progress.accuracy, 4),
            "test_accuracy": round(float(hit.mean()), 4),
            "recall": [round(float(hit[data.y_test == c].mean()), 4) for c in np.unique(data.y_test)],
            "images_per_second": round(progress.images_per_second),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        print(json.dumps({name: line[name] for name in line if name not in of_all_lines}), flush=True)
        if arguments.out is not None:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    start = time.perf_counter()
    trained = train(
        model, X, y, recipe, seed=arguments.seed, device=arguments.device,
        checkpoint=arguments.checkpoint, progress=after_epoch,
    )  # fmt: skip
    accuracy = (predict_logits(trained.model, data.X_test, CIFAR10).argmax(axis=1) == data.y_test).mean()
    print(
        f"{arguments.network}, {trained.device}: test accuracy {accuracy:.4f} after {recipe.epochs} epochs, "
        f"{trained.seconds:.0f} s of training, {time.perf_counter() - start:.0f} s in this call"
    )


if __name__ == "__main__":
    main()
