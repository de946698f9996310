"""The exporter's errors; like all of the kit's they are a `KitError`."""

from runtime.errors import KitError


class ExportError(KitError):
    """There is nothing to export, or the file cannot be made."""


class ParityError(ExportError):
    """The written file does not answer as the trained model does, and was not kept."""
