"""`python -m benchmarks.hosts`: the artefacts in runtimes that are neither the kit's nor made for it.

    python -m benchmarks.hosts --python VENV/bin/python --node-modules DIR/node_modules

Runtimes that are not installed are said to be absent. VENV has some of numpy, onnxruntime, tract, openvino,
opencv-python-headless and ai-edge-litert, DIR has onnxruntime-node.
"""

import sys
from pathlib import Path

import click

from .tools.page import show


@click.command()
@click.option("--python", default=sys.executable, help="The interpreter that has the runtimes.  [default: this one]")
@click.option("--node-modules", type=click.Path(path_type=Path, file_okay=False), help="Folder with onnxruntime-node.")
def main(python: str, node_modules: Path | None) -> None:
    """Say what each runtime loads, and how far its answers on digits are from onnxruntime's."""
    from .studies.hosts import compare

    show("Hosts", compare(python, node_modules))


if __name__ == "__main__":
    main()
