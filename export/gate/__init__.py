"""The gate: an opened artefact and the trained model come in; a parity report comes out, or a ParityError.

Imported by the formats, for its types, and by `exporting`, `modules` and `evaluation`.
"""
