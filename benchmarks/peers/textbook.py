"""The peer: softmax regression as textbooks write it, with a DataLoader, autograd and torch's own optimiser.

    python -m benchmarks.peers.textbook DATA_DIR [EPOCHS]

Zhang et al., Dive into Deep Learning, chapter 4: batch size 256, learning rate 0.1, 10 epochs, pixels in 0-1.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms

BATCH_SIZE = 256
LR = 0.1
EPOCHS = 10

Images = Dataset[tuple[Tensor, int]]


def images(data_dir: Path, *, train: bool) -> Images:
    """Open the training or the test images of Fashion-MNIST."""
    half: Images = datasets.FashionMNIST(data_dir, train=train, transform=transforms.ToTensor(), download=False)
    return half


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images in memory, each converted to a tensor on access, as torchvision's data sets do.

    pixels: uint8 [N, H, W]. targets: int64 [N].
    """

    def __init__(self, pixels: NDArray[np.uint8], targets: NDArray[np.int64]) -> None:
        self._pixels, self._targets = pixels, targets
        self._transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[row])), int(self._targets[row])


def batches(half: Images, *, shuffle: bool) -> DataLoader[tuple[Tensor, int]]:
    """Load minibatches."""
    return DataLoader(half, BATCH_SIZE, shuffle=shuffle)


def network(features: int = 784, classes: int = 10) -> nn.Module:
    """Make the model."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))


def train_epoch(model: nn.Module, train: Iterable[tuple[Tensor, Tensor]], optimiser: torch.optim.Optimizer) -> None:
    """Run an epoch."""
    loss = nn.CrossEntropyLoss()
    for inputs, labels in train:
        optimiser.zero_grad()
        loss(model(inputs), labels).backward()
        optimiser.step()


@torch.no_grad()
def accuracy(model: nn.Module, test: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Share of the test images that are classified correctly."""
    right = total = 0
    for inputs, labels in test:
        right += int((model(inputs).argmax(dim=1) == labels).sum())
        total += len(labels)
    return right / total


def run(data_dir: Path, epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, with the test accuracy after each epoch; return the last."""
    return fit(images(data_dir, train=True), images(data_dir, train=False), epochs=epochs, seed=seed)[1]


def fit(
    train: Images, test: Images, *, features: int = 784, epochs: int = EPOCHS, seed: int = 0
) -> tuple[nn.Module, float]:
    """Train, with the test accuracy after each epoch; return the model and the last."""
    torch.manual_seed(seed)
    training, testing = batches(train, shuffle=True), batches(test, shuffle=False)
    model = network(features)
    optimiser = torch.optim.SGD(model.parameters(), lr=LR)
    share = 0.0
    for _ in range(epochs):
        train_epoch(model, training, optimiser)
        share = accuracy(model, testing)
    return model, share


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), *map(int, sys.argv[2:])))
