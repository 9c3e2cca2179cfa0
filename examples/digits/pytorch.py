"""The digit examples' data and model for PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from digits import Scans, split_scans


def digits_datasets(seed: int) -> tuple[TensorDataset, TensorDataset]:
    """Training and test set of (image of shape (1, 8, 8), label) pairs; the same on every rank."""
    train, test = split_scans(seed)
    return _dataset(train), _dataset(test)


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


def _dataset(scans: Scans) -> TensorDataset:
    images, labels = (torch.from_numpy(values) for values in scans)
    return TensorDataset(images.unsqueeze(1), labels)
