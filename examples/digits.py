"""What the digit examples share: options, data, model and report. Nothing here communicates."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def parse_options(description: str | None) -> argparse.Namespace:
    """Read the command line of a digit example."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training scans")
    parser.add_argument("--batch", type=int, default=64, help="scans per step, over all ranks")
    parser.add_argument("--lr", type=float, default=8e-3, help="highest learning rate, one-cycle schedule")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, split and shuffling")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write loss and accuracy per epoch to an image")
    return parser.parse_args()


def digits_datasets(seed: int) -> tuple[TensorDataset, TensorDataset]:
    """Split scikit-learn's 1,797 scanned 8x8 digits into 80 % training and 20 % test scans.

    Returns:
        Training and test set of (float32 image of shape (1, 8, 8) in [0, 1], int64 label) pairs, the same
        on every rank for the same seed.
    """
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div(16).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(range(len(labels)), test_size=0.2, stratify=labels, random_state=seed)
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


class DigitNet(nn.Sequential):
    """A small convolutional network: (N, 1, 8, 8) images to (N, 10) logits, 56 thousand parameters."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 96),
            nn.ReLU(),
            nn.Linear(96, 10),
        )


def count_right(model: nn.Module, loader: DataLoader) -> torch.Tensor:
    """Return int64 [right answers, answers] of the model on the scans of the loader."""
    counts = torch.zeros(2, dtype=torch.int64)
    with torch.no_grad():
        for images, labels in loader:
            counts[0] += (model(images).argmax(dim=1) == labels).sum()
            counts[1] += len(labels)
    return counts


@dataclass
class Curve:
    """Training loss and test accuracy after each epoch."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def add(self, loss: float, accuracy: float) -> None:
        """Append one epoch."""
        self.loss.append(loss)
        self.accuracy.append(accuracy)

    def plot(self, path: Path, title: str) -> None:
        """Write both curves side by side to an image file."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        epochs = range(1, len(self.loss) + 1)
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        left.semilogy(epochs, self.loss, color="#c44e52", marker="o", markersize=4)
        left.set_title("training loss (cross entropy)", loc="left")
        right.plot(epochs, self.accuracy, color="#4c72b0", marker="o", markersize=4)
        right.axhline(self.accuracy[-1], color="0.6", linewidth=0.8, linestyle="--")
        right.annotate(
            f"{self.accuracy[-1]:.2%}",
            (epochs[-1], self.accuracy[-1]),
            xytext=(0, -20),
            textcoords="offset points",
            ha="right",
        )
        right.set_title("test accuracy", loc="left")
        right.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(title)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def report(curve: Curve, plot: Path | None, *, scans: int, seconds: float, where: str) -> None:
    """Print what the training reached, and plot it on demand.

    Args:
        curve: one point per epoch.
        plot: image file to write, or None.
        scans: number of training scans seen by all ranks together.
        seconds: duration of the training.
        where: what it ran on, such as "4 ranks, shm".
    """
    if plot:
        curve.plot(plot, f"Scanned digits, {where}")
        print(f"curve written to {plot}")
    print(f"throughput {scans / seconds:.0f} samples/s")
    print(f"test accuracy {curve.accuracy[-1]:.4f}, {where}, {seconds:.0f} s")
