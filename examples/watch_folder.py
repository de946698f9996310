"""Classify the images that arrive in a folder, and append a line of JSON for each to a file.

    pip install 'softmax-kit[image]'
    python watch_folder.py incoming/ --model model.onnx --output predictions.jsonl

Each line is {"image": name, "label": …, "probability": …, "index": …}, or {"image": name, "error": …}. An image has
arrived when its size and time have stood still from one look at the folder to the next, under this name or another: a
file renamed to its final name counts at once. Names in the output are done; they are not classified again, not even
after a restart. SIGTERM and Ctrl-C end the script after the image at hand, with status 0.

With --once it looks twice, --poll seconds apart, and ends; from cron, no second one beside the first:

    * * * * * flock --nonblock /tmp/watch.lock python watch_folder.py incoming/ --model … --output … --once
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import runtime

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def main() -> None:
    """Read the command line, and watch until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the images arrive")
    parser.add_argument("--model", type=Path, required=True, help="the artefact, an .onnx file")
    parser.add_argument("--output", type=Path, required=True, help="the JSON lines")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds from look to look (default: 1)")
    parser.add_argument("--once", action="store_true", help="classify what is there, and end")
    options = parser.parse_args()
    if not 0 < options.poll <= 3600:
        parser.error("argument --poll: expected seconds, more than 0 and at most 3600")

    signals: SimpleQueue[int] = SimpleQueue()  # its put is safe in a signal handler; threading.Event's set is not
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.put(number))
    try:
        watch(options.folder, runtime.load(options.model), options.output, options.poll, options.once, signals)
    except (runtime.KitError, OSError) as error:
        sys.exit(f"watch_folder.py: {error}")


def watch(
    folder: Path, classifier: runtime.Classifier, output: Path, poll: float, once: bool, signals: SimpleQueue[int]
) -> None:
    """Classify what arrives, until a signal lies in the queue."""
    done = answered(output)
    looks = arrivals(folder, done)
    next(looks)
    with output.open("a", encoding="utf-8", newline="\n") as lines:
        while not stopped(signals, poll):
            for path in next(looks):
                if not signals.empty():
                    return
                answer = classify(classifier, path)
                if "error" in answer and not path.exists():  # deleted meanwhile
                    continue
                lines.write(json.dumps(answer) + "\n")
                lines.flush()
                done.add(path.name)
            if once:
                return


def answered(output: Path) -> set[str]:
    """Return the names that the output holds. A last line that a crash left half-written is cut off."""
    data = output.read_bytes() if output.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    try:
        names = {json.loads(line)["image"] for line in whole.splitlines()}
    except (KeyError, TypeError, ValueError):
        sys.exit(f"watch_folder.py: {output}: expected lines that this script wrote, found others: name another file")
    if whole != data:
        print(f"watch_folder.py: {output}: cut off half a line: {data[len(whole) :]!r}", file=sys.stderr)
        os.truncate(output, len(whole))
    return names


def arrivals(folder: Path, done: Container[str]) -> Iterator[list[Path]]:
    """Look at the folder at each `next`: the images, not done yet, that stood still since the look before."""
    before: set[tuple[str | int, int, int]] = set()
    while True:
        found: dict[Path, set[tuple[str | int, int, int]]] = {}
        for path in folder.iterdir():
            if path.name not in done and path.is_file():
                with suppress(FileNotFoundError):  # deleted meanwhile
                    stat = path.stat()
                    still = stat.st_size, stat.st_mtime_ns
                    found[path] = {(path.name, *still), (stat.st_ino, *still)}
        images = [path for path in found if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
        yield sorted(path for path in images if found[path] & before)
        before = set().union(*found.values())


def classify(classifier: runtime.Classifier, path: Path) -> dict[str, Any]:
    """Return what the image's line says."""
    try:
        prediction = classifier.classify(path)
    except runtime.InputError as error:
        return {"image": path.name, "error": str(error)}
    return {
        "image": path.name,
        "label": prediction.label,
        "probability": prediction.probability,
        "index": prediction.index,
    }


def stopped(signals: SimpleQueue[int], seconds: float) -> bool:
    """Wait, and say whether a signal came."""
    try:
        signals.get(timeout=seconds)
    except Empty:
        return False
    return True


if __name__ == "__main__":
    main()
