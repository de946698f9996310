"""Models for browsers, run by Node: the folder or the page that `kit export` wrote. Needs numpy and Node.

`runner.mjs` runs beside a model: it reads images from standard input, and writes what the module answers.
"""
