"""Images per second of training: cemag.reproduction.training beside a plain loop, alternating in one run.

``python benchmarks/bench_training.py`` prints images/s of both, alternating, same network, batch and device.
The plain loop is float32 NCHW, torchvision transforms image by image in a DataLoader, SGD as it comes.
``--parts`` prints what each step from the plain loop towards ours gives (network and optimiser only).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cemag.models.resnet import resnet
from cemag.reproduction.training import RECIPES, choose_device, train
from cemag.reproduction.training.device import keep_memory

RECIPE = RECIPES["long_tailed_200"]
CPU_TARGET, GPU_TARGET = 1.25, 10.0


class TensorImages(Dataset):
    """uint8 images (n, c, h, w) with transforms applied image by image, as is common."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(), y
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(X.shape[1], padding=RECIPE.crop_padding),
                transforms.RandomHorizontalFlip(),
                transforms.ConvertImageDtype(torch.float32),
                transforms.Normalize(RECIPE.mean, RECIPE.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.X[i]), int(self.y[i])


def plain_epoch(
    X: np.ndarray, y: np.ndarray, name: str, device: torch.device, workers: int
) -> Callable[[], None]:
    """One epoch of the loop as it is found in most repositories."""
    model = resnet(name).to(device)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=2e-4)
    cuda = device.type == "cuda"
    loader = DataLoader(
        TensorImages(X, y), RECIPE.batch_size, shuffle=True, num_workers=workers, pin_memory=cuda,
        persistent_workers=workers > 0,
    )  # fmt: skip

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            images, labels = images.to(device, non_blocking=cuda), labels.to(device, non_blocking=cuda)
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item(), (logits.argmax(1) == labels).sum().item()  # the usual meters

    return epoch


def our_epoch(
    X: np.ndarray, y: np.ndarray, name: str, device: torch.device, fast: bool
) -> Callable[[], None]:
    """One epoch through the public entry, its set-up included."""
    model = resnet(name)
    recipe = RECIPE.model_copy(update={"epochs": 1, "milestones": (), "warmup_epochs": 0})
    return lambda: train(model, X, y, recipe, device=device.type, compile=fast) and None


def seconds(work: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def parts(name: str, device: torch.device, batch: int) -> None:
    """Images/s of network and optimiser alone, adding one thing after the other."""
    labels = torch.randint(0, 10, (batch,), device=device)
    for channels_last, fused, kept in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model = resnet(name).to(device, memory_format=layout)
        images = torch.randn(batch, 3, 32, 32, device=device).to(memory_format=layout)
        options = {"fused": True} if fused else {}
        optimiser = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=2e-4, **options)

        def step(model=model, images=images, optimiser=optimiser) -> None:
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimiser.step()

        with keep_memory(device if kept else torch.device("meta")):
            times = [seconds(step, device) for _ in range(10)][2:]
        parts_on = {"channels_last": channels_last, "fused SGD": fused, "memory kept": kept}
        named = [part for part, on in parts_on.items() if on]
        speed = (batch / min(times), batch / statistics.median(times))
        print(f"  {' + '.join(named) or 'NCHW':45} best {speed[0]:6.0f}  median {speed[1]:6.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, help="an epoch's; default 1,024 on a CPU, 12,406 on a GPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, help="of the plain DataLoader; default: the better of 0 and 2")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    parser.add_argument("--parts", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    n = arguments.images or (1024 if device.type == "cpu" else 12_406)
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n)
    where = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{arguments.network}, batch {RECIPE.batch_size}, {n:,} images an epoch, {where}{load}")
    if arguments.parts:
        parts(arguments.network, device, RECIPE.batch_size)
    workers = [0, 2] if arguments.workers is None else [arguments.workers]
    ways = {f"plain, {w} workers": plain_epoch(X, y, arguments.network, device, w) for w in workers}
    ways["cemag"] = our_epoch(X, y, arguments.network, device, arguments.compile)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for work in ways.values():
        seconds(work, device)  # imports, caches, autotuning
    for _ in range(arguments.repeats):  # alternating, so that what else the machine does hits all alike
        for way, work in ways.items():
            times[way].append(seconds(work, device))
    for way, taken in times.items():
        print(f"  {way:20} best {n / min(taken):8.0f}  median {n / statistics.median(taken):8.0f} images/s")
    rivals = [way for way in ways if way != "cemag"]
    ratios = [
        min(times[way][i] for way in rivals) / times["cemag"][i] for i in range(arguments.repeats)
    ]  # against the better plain loop of each round
    best = min(min(times[way]) for way in rivals) / min(times["cemag"])
    target = CPU_TARGET if device.type == "cpu" else GPU_TARGET
    print(f"  ratio: best {best:.2f}, median of rounds {statistics.median(ratios):.2f} (target {target})")


if __name__ == "__main__":
    main()
