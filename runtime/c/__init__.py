"""Models in C: compiled and run on this machine, or on an emulated one. Needs numpy and a C compiler.

`harness/` has the programs around a model, in C: input and output, start-up, counters.
"""
