"""Classify a folder of images in several threads that share one classifier; a line for each, in order of their names.

    pip install 'softmax-kit[image]'
    python threads.py images/ --model model.onnx --threads 4

A classifier is safe to share, and Pillow decodes while other threads run Python: threads help with large images. Small
images that are decoded already are faster in one call of `classifier.probabilities`.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import runtime
from runtime.processes import cpus

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def main() -> None:
    """Print the labels, then to standard error how long it took; status 1 where an image cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the images")
    parser.add_argument("--model", type=Path, required=True, help="the artefact, an .onnx file")
    parser.add_argument("--threads", type=int, default=cpus(), help="how many (default: one a core)")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("argument --threads: expected at least 1")

    try:
        classifier = runtime.load(options.model)
        paths = sorted(path for path in options.folder.iterdir() if path.suffix.lower() in SUFFIXES)
        failed = run(classifier, paths, options.threads)
    except (runtime.KitError, OSError) as error:
        sys.exit(f"threads.py: {error}")
    sys.exit(1 if failed else 0)


def run(classifier: runtime.Classifier, paths: list[Path], threads: int) -> int:
    """Classify and print; return how many images could not be read."""

    def classify(path: Path) -> runtime.Prediction | runtime.InputError:
        try:
            return classifier.classify(path)
        except runtime.InputError as error:
            return error

    failed = 0
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for path, answer in zip(paths, pool.map(classify, paths), strict=True):
            if isinstance(answer, runtime.InputError):
                failed += 1
                print(f"threads.py: {answer}", file=sys.stderr)
            else:
                print(f"{path.name}: {answer.label} (probability {answer.probability:.4f})")
    seconds = time.perf_counter() - start
    speed = f"{len(paths) / seconds:,.0f} images/s"
    print(f"{len(paths):,} images in {seconds:.2f} s, {speed}, {threads} threads", file=sys.stderr)
    return failed


if __name__ == "__main__":
    main()
