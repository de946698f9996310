"""The numbers of an artefact: a checkpoint comes in; folded or quantised weights and an error bound go out.

Needs numpy alone. Imported by the formats, the gate and `exporting`.
"""
