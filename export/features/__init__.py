"""The frozen graph of a checkpoint on features: read, run, translated to torch, quantised.

`graph` reads and renames its nodes, `running` runs it in float32, `translate` makes a module of torch of it with the
operators of `operators`, and `quantised` writes it in 8 bits. Imported by the gate, the formats and `exporting`.
"""
