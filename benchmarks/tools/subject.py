"""The subject of the report: images as arrays, and one trained model in each contender's form."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW_IMAGES = 10_000
SPLITS = ("train", "test")


def prepare(folder: Path, data: str, data_dir: Path | None, *, few: bool) -> str:
    """Write images and model; return a description.

    folder: an empty one.
    few: whether to take the first 10,000 images alone.
    """
    from trainer import Split, fit, load_data, save_checkpoint

    loaded = load_data(data, data_dir=data_dir)
    for half in SPLITS:
        split: Split = getattr(loaded, half)
        most = FEW_IMAGES if few else len(split)
        np.save(folder / f"{half}-images.npy", split.images.numpy()[:most])
        np.save(folder / f"{half}-targets.npy", split.targets.numpy()[:most])
    (folder / "labels").write_text("\n".join(loaded.labels), encoding="utf-8")
    test = arrays(folder, "test")[0]
    np.save(folder / "one.npy", test[0])
    write_pictures(folder / "png", test)
    checkpoint = fit(dataset(folder)).checkpoint
    save_checkpoint(checkpoint, folder / "model.safetensors")
    write_models(folder, checkpoint)
    train = len(arrays(folder, "train")[1])
    return f"{loaded.name}: {train:,} training and {len(test):,} test images of {'×'.join(map(str, test.shape[1:]))}"


def arrays(folder: str | Path, half: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read images [N, H, W, C] and targets [N]."""
    images, targets = (np.load(Path(folder, f"{half}-{what}.npy")) for what in ("images", "targets"))
    return images, targets


def rows(folder: str | Path, half: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read images as scikit-learn's users scale them, float32 [N, D] in 0-1, and targets [N]."""
    images, targets = arrays(folder, half)
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255), targets


def dataset(folder: str | Path) -> Any:
    """Read the images as the trainer's data set."""
    from trainer import Dataset, Split

    labels = tuple(Path(folder, "labels").read_text(encoding="utf-8").split("\n"))
    return Dataset(
        name="benchmark",
        labels=labels,
        train=Split.of(*arrays(folder, "train")),
        test=Split.of(*arrays(folder, "test")),
    )


def write_pictures(folder: Path, images: NDArray[np.uint8], count: int = 100) -> None:
    """Write the first images as PNG files."""
    from PIL import Image

    folder.mkdir()
    for number, image in enumerate(images[:count]):
        Image.fromarray(image[..., 0]).save(folder / f"{number:03}.png")


def write_models(folder: Path, checkpoint: Any) -> None:
    """Write the weights, folded for raw pixels, in torch's and scikit-learn's formats, and the right probabilities."""
    import joblib
    import torch

    from export import export
    from export.arithmetic.fold import prepare as fold
    from export.gate.parity import reference_probabilities

    numbers: Any = fold(checkpoint)
    np.savez(folder / "weights.npz", weights=numbers.weights, bias=numbers.bias)
    state = {"1.weight": numbers.weights.T, "1.bias": numbers.bias}
    torch.save({name: torch.from_numpy(values.copy()) for name, values in state.items()}, folder / "state.pt")
    joblib.dump(logistic(numbers.weights, numbers.bias), folder / "sklearn.joblib")
    (folder / "ours").mkdir()
    export(checkpoint, "torchscript", folder / "ours" / "model.pt")
    np.save(folder / "expected.npy", reference_probabilities(checkpoint, arrays(folder, "test")[0]))


def logistic(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
    """Make scikit-learn's classifier with these weights [D, K]."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression()
    model.coef_, model.intercept_ = weights.T.copy(), bias.copy()
    model.classes_, model.n_features_in_ = np.arange(len(bias)), len(weights)
    return model
