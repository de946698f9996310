"""`python -m benchmarks.litert`: the .tflite files against the .onnx files, on every test image.

python -m benchmarks.litert --data-dir DIR --cifar DIR
"""

from pathlib import Path

import click

from .tools.measure import fashion, fashion_dir
from .tools.page import show


@click.command()
@click.option("--cifar", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of CIFAR-10.")
@fashion
def main(cifar: Path | None, data_dir: Path | None) -> None:
    """Compare answers, sizes and times, on digits and on the data sets that are named."""
    folder = fashion_dir(data_dir) if data_dir else None
    from .studies.litert import compare, subjects

    show("LiteRT against onnxruntime", compare(subjects(folder, cifar)))


if __name__ == "__main__":
    main()
