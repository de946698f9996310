"""Options that several commands have."""

import click

from ..backend import BACKENDS
from ..session import AUTO

backend_option = click.option(
    "--backend", type=click.Choice(BACKENDS), default=AUTO, show_default=True,
    help="What computes; auto is onnxruntime where that is installed, else numpy.",
)  # fmt: skip
