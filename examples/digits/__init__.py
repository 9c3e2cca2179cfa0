"""What the digit examples share: options, data and report. Nothing here communicates."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Scans = tuple[np.ndarray, np.ndarray]  # float32 images (N, 8, 8) in [0, 1] and int64 labels (N,)


def parse_options(description: str | None, lr: str) -> argparse.Namespace:
    """Read the command line of a digit example; `lr` says what it does with the learning rate."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training scans")
    parser.add_argument("--batch", type=int, default=64, help="scans per step, over all ranks")
    parser.add_argument("--lr", type=float, default=8e-3, help=lr)
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, split and shuffling")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write loss and accuracy per epoch to an image")
    return parser.parse_args()


def split_scans(seed: int) -> tuple[Scans, Scans]:
    """scikit-learn's 1,797 scanned digits, 80 % to train and 20 % to test; the same on every rank."""
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), digits.target.astype(np.int64)
    train, test = train_test_split(range(len(labels)), test_size=0.2, stratify=labels, random_state=seed)
    return (images[train], labels[train]), (images[test], labels[test])


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
