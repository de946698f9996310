"""What writes docs/benchmarks.md, from training to classifying, by `python -m benchmarks.report --write PAGE`.

A module a question, each with its contenders and figures; `__main__` lays out the page and its bars. Only the tests
import it.
"""
