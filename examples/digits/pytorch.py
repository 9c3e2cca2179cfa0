"""The digit examples' data and model for PyTorch."""

from __future__ import annotations

import os

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


def own_device() -> torch.device:
    """This rank's GPU, which ranks share where there are fewer; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def count_right(model: nn.Module, loader: DataLoader, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return int64 [right answers, answers] of the model, which is on the device, on the scans of the loader."""
    counts = torch.zeros(2, dtype=torch.int64, device=device)
    with torch.no_grad():
        for images, labels in loader:
            counts[0] += (model(images.to(device)).argmax(dim=1) == labels.to(device)).sum()
            counts[1] += len(labels)
    return counts


def _dataset(scans: Scans) -> TensorDataset:
    images, labels = (torch.from_numpy(values) for values in scans)
    return TensorDataset(images.unsqueeze(1), labels)
