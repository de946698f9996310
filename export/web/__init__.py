"""The ES module and the page for browsers, and what puts a model in them.

Imported by `formats`. `softmax-kit.mjs` is the module, `page.*` are the page around it.
"""
