"""The errors of export; all are a `KitError`."""

from runtime.errors import KitError


class ExportError(KitError):
    """There is nothing to export, or the file cannot be written."""


class ParityError(ExportError):
    """The written file does not predict what the trained model predicts, and was not kept."""


class BudgetError(ExportError):
    """A model in C takes more than its budget, and was not kept."""
