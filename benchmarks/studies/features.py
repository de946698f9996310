"""Features of photos: accuracy, size, time of an image and of training, next to the same made by hand.

Each contender runs in a fresh process, on one thread and with an empty cache. Training is from the image files to the
fitted model, in seconds of processor time; imports are not counted. The accuracy is that of what was saved.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer import Dataset, FeatureSettings, FitConfig, fit, load_data, load_features

from ..tools.latency import latencies
from ..tools.measure import ROOT, Figures, Found, check, compared, fresh, table
from ..tools.size import size as lines
from .tuned import draw

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BENCH_SECONDS = 5.0
EACH = 10  # images a class, of few
RATIOS = {"file": "size", "one image": "ms", "training": "seconds"}
FIGURES = {
    "images": lambda one: one["images"],
    "test accuracy": lambda one: f"{one['accuracy']:.4f}",
    "bytes": lambda one: f"{one['size']:,}",
    "one image, ms": lambda one: f"{one['ms']:.3g}",
    "training, s": lambda one: f"{one['seconds']:.1f}",
    "to write": lambda one: one["steps"],
}


class Way(NamedTuple):
    """A contender.

    features: the kit's, or None for what is made by hand.
    size: height and width of the images; None for the data set's own.
    mirror: whether to train on mirrored images too.
    """

    features: str | None
    size: int | None = None
    mirror: bool = False

    def __str__(self) -> str:
        return f"ours, {self.features}{', mirror' * self.mirror}" if self.features else "by hand: torch, scikit-learn"


NETWORK, BY_HAND = Way("efficientnet_lite0", 224), Way(None, 224)
FLOWERS = (NETWORK, NETWORK._replace(mirror=True), BY_HAND, Way("patches", 64), Way("pixels", 32))
CIFAR = (NETWORK._replace(size=128), BY_HAND._replace(size=128), Way("patches", 32), Way("pixels", 32))
FASHION = (Way("patches"), Way("pixels"))


def one_thread() -> None:
    """Let this process and those that it starts have one thread, and where the system can, one core."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compare(
    data: str, ways: Sequence[Way], *, data_dir: str | None = None, seconds: float = BENCH_SECONDS
) -> Iterator[str]:
    """Yield the counts of images, the ratios to the first way, and the figures. seconds: for measuring a file."""
    found: Found = {}
    for way in possible(ways):
        settings = {"data": data, "data_dir": data_dir, "way": way, "seconds": seconds}
        found[str(way)] = fresh(ours if way.features else by_hand, **settings)
    same_targets(found)
    train, test = (len(next(iter(found.values()))[name]) for name in ("train", "test"))
    yield f"{train:,} training and {test:,} test images"
    yield compared(found, RATIOS, FIGURES)


def compare_few(data: str, ways: Sequence[Way], *, draws: int) -> Iterator[str]:
    """Yield a table of accuracies with ten training images a class; all ways have the same."""
    found = {
        str(way): fresh(few if way.features else few_by_hand, data=data, way=way, draws=draws) for way in possible(ways)
    }
    same_targets(found)
    rows = [
        (name, draws, f"{mean(one['accuracies']):.4f}", f"{min(one['accuracies']):.4f}") for name, one in found.items()
    ]
    yield table(("contender", "draws", "test accuracy, mean", "lowest"), rows)


def possible(ways: Sequence[Way]) -> list[Way]:
    """Leave out mirrored images where the kit has no such setting."""
    has = "mirror" in {field.name for field in fields(FeatureSettings)}
    return [way for way in ways if has or not way.mirror]


def same_targets(found: Found) -> None:
    """Check that all contenders had the same images in the same order."""
    wanted = next(iter(found.values()))
    for name, one in found.items():
        for part in ("train", "test"):
            check(one[part] == wanted[part], f"{name}: the same {part} images as the others", "others")


def ours(data: str, data_dir: str | None, way: Sequence[Any], seconds: float) -> Figures:
    """Train, export, and measure the file as `kit bench` does."""
    import runtime
    from export import export
    from export.gate.parity import answers
    from runtime.commands.bench import measure
    from trainer.decisions.concluding import probabilities_of

    with tempfile.TemporaryDirectory() as place:
        os.environ["KIT_CACHE_DIR"] = f"{place}/cache"
        started = processor_seconds()
        loaded = load(data, data_dir, way)
        featured = with_features(loaded, way)
        fitted = fit(featured, FitConfig(device="cpu"))
        taken = processor_seconds() - started
        path = export(fitted.checkpoint, "onnx", f"{place}/model.onnx").path
        share = accuracy(answers(runtime.load(path).probabilities, loaded.test.images.numpy()), loaded)
        trained = accuracy(probabilities_of(fitted.checkpoint, featured.test), loaded)
        check(abs(share - trained) <= 1e-3, f"the trained model's accuracy, {trained}", share)
        measured = measure(path, seconds)
    return {
        "images": "×".join(map(str, loaded.contract.shape)),
        "accuracy": share,
        "size": measured["size_bytes"],
        "ms": (measured["p50_us"] or 0) / 1000,
        "seconds": taken,
        "steps": "2 commands",
        **targets_of(loaded),
    }


def by_hand(data: str, data_dir: str | None, way: Sequence[Any], seconds: float) -> Figures:
    """Train and save what the peer does, and measure it with all in memory."""
    from ..peers import photos as peer

    started, folder, size = processor_seconds(), Path(data), Way(*way).size or 0
    assert data_dir is None  # noqa: S101 - of photos alone
    images, targets = peer.photos(folder / "train", size)
    test, wanted = peer.photos(folder / "test", size)
    model = peer.network(size)
    features = [peer.features(model, of) for of in (images, test)]
    classifier = peer.regression(features[0], targets)
    taken = processor_seconds() - started
    with tempfile.TemporaryDirectory() as place:
        peer.save(model, classifier, Path(place))
        size = sum(path.stat().st_size for path in Path(place).iterdir())
    classify = partial(_classified, peer, model, classifier)
    return {
        "images": "×".join(map(str, test.shape[1:])),
        "accuracy": float((classifier.predict(features[1]) == wanted).mean()),
        "size": size,
        "ms": 1000 * median(latencies(classify, list(test[:1]), seconds / 5)),
        "seconds": taken,
        "steps": f"{lines(ROOT / 'benchmarks' / 'peers' / 'photos.py')[0]} lines",
        "train": targets.tolist(),
        "test": wanted.tolist(),
    }


def few(data: str, way: Sequence[Any], draws: int) -> Figures:
    """Train on a few images, several times: what features learn, they learn from these too."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["KIT_CACHE_DIR"] = place
        whole, found = load(data, None, way), []
        for seed in range(draws):
            rows = draw(whole.train.targets.numpy(), EACH * len(whole.labels), seed)
            drawn = with_features(replace(whole, train=whole.train.subset(rows)), way)
            found.append(fit(drawn, FitConfig(seed=seed, device="cpu")).history[-1].test_accuracy)
    return {"accuracies": found, **targets_of(whole)}


def few_by_hand(data: str, way: Sequence[Any], draws: int) -> Figures:
    """Do the same by hand."""
    from ..peers import photos as peer

    size, found = Way(*way).size or 0, []
    (images, targets), (test, wanted) = (peer.photos(Path(data, part), size) for part in ("train", "test"))
    model = peer.network(size)
    features, tested = peer.features(model, images), peer.features(model, test)
    for seed in range(draws):
        rows = draw(targets, EACH * (int(targets.max()) + 1), seed).numpy()
        answers = peer.regression(features[rows], targets[rows]).predict(tested)
        found.append(float((answers == wanted).mean()))
    return {"accuracies": found, "train": targets.tolist(), "test": wanted.tolist()}


def load(data: str, data_dir: str | None, way: Sequence[Any]) -> Dataset:
    """Load images at a way's size."""
    return load_data(data, data_dir=Path(data_dir) if data_dir else None, image_size=Way(*way).size)


def with_features(data: Dataset, way: Sequence[Any]) -> Dataset:
    """Compute a way's features."""
    features, _, mirror = Way(*way)
    settings: dict[str, Any] = {"mirror": True} if mirror else {}
    return load_features(data, features or "", FeatureSettings(**settings))


def accuracy(probabilities: NDArray[np.floating], data: Dataset) -> float:
    """Share of right labels among the test images."""
    return float((probabilities.argmax(axis=1) == data.test.targets.numpy()).mean())


def targets_of(data: Dataset) -> dict[str, list[int]]:
    """Targets of both parts, as lists."""
    return {"train": data.train.targets.tolist(), "test": data.test.targets.tolist()}


def processor_seconds() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _classified(peer: Any, model: Any, classifier: Any, image: NDArray[np.uint8]) -> object:
    return classifier.predict_proba(peer.features(model, image[None]))
