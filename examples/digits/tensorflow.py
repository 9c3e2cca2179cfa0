"""The digit examples' data and model for Keras."""

from __future__ import annotations

import keras
import numpy as np

from digits import Scans, split_scans


def digits_with_channels(seed: int) -> tuple[Scans, Scans]:
    """Scans to train and to test, with images of shape (8, 8, 1); the same on every rank."""
    train, test = split_scans(seed)
    return (train[0][..., np.newaxis], train[1]), (test[0][..., np.newaxis], test[1])


def make_model() -> keras.Model:
    """A small convolutional network: (N, 8, 8, 1) images to (N, 10) logits, 56 thousand parameters."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(96, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
