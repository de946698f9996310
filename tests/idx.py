"""A small stand-in for Fashion-MNIST, laid out as torchvision keeps it."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN, TEST = 1200, 300


def idx(values: NDArray[np.uint8]) -> bytes:
    """Write an IDX file of unsigned bytes."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_fashion(data_dir: Path) -> Path:
    """Write images of ten blurred patterns, one a class, under noise; return the folder."""
    raw = data_dir / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 200, (10, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)
    for half, count in (("train", TRAIN), ("t10k", TEST)):
        targets = np.arange(count) % 10
        images = (patterns[targets] + generator.integers(0, 56, (count, 28, 28))).astype(np.uint8)
        (raw / f"{half}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(idx(targets.astype(np.uint8)))
    return data_dir
