"""Solvers: a task (model, training images, settings) goes in, the model is changed in place, an epoch at a time.

`task` has what all solvers share, `sgd` and `lbfgs` a solver each, `schedules` the learning rates, with no torch. Only
`fitting`, `config` and benchmarks import from here.
"""
