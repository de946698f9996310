"""Data sets: a name, a folder or a file goes in, minibatches of standardised pixels and targets come out.

`load` alone knows all sources, and imports one when it is asked for. `cache`, `mapped` and `memory` keep the decoded
images, `order` and `minibatches` serve them to `trainer.fitting` and the solvers, which import them from here.
"""
