"""What all benchmarks share: timing in turns, fresh processes, tables, bars, memory, installed sizes, the subject.

Anything in this folder may be imported by all others, and imports none of them. `size` counts the kit's own lines.
"""
