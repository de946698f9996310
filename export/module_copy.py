"""Copies of a user's module, as plain as the exporters need them; the module itself stays as it is."""

import copy
import inspect
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.optim.swa_utils import AveragedModel

from .errors import ExportError
from .raw_pixels import described

WRAPPERS = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel, AveragedModel)


def checked_module(given: Any) -> torch.nn.Module:
    """Return a module without what torch.compile, data parallelism, or averaging wrap around it.

    Raises ExportError for what is no module, and for parameters without numbers.
    """
    if not isinstance(given, torch.nn.Module):
        raise ExportError(f"expected a torch.nn.Module, found {_described(given)}")
    module = _inner(given)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise ExportError(
                f"expected initialised parameters, found none in {name!r}: run the module on an image once"
            )
        if tensor.is_meta:
            raise ExportError(
                f"expected parameters with numbers, found {name!r} on the meta device, where there are none: build the "
                "module on the CPU, or load its weights with load_state_dict(…, assign=True)"
            )
    return module


def copied(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Copy a module to the CPU, for inference, with its floating-point parameters in `dtype`.

    Raises ExportError for a module that cannot be copied.
    """
    kept = {  # results of an earlier run, which copy.deepcopy refuses
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        result = _without_wrappers(copy.deepcopy(module, kept)).cpu()
        result = result.double() if dtype == torch.float64 else result.float()
    except Exception as error:  # of any attribute
        raise ExportError(
            f"expected a module that can be copied, found one that cannot ({described(error)}): "
            "delete or detach() the attribute in question, and pass the module as it was before it was converted"
        ) from error
    _make_plain(result.eval())
    return result


def _inner(module: torch.nn.Module) -> torch.nn.Module:
    wrapped = module.module if isinstance(module, WRAPPERS) else getattr(module, "_orig_mod", None)
    return _inner(wrapped) if isinstance(wrapped, torch.nn.Module) else module


def _without_wrappers(module: torch.nn.Module) -> torch.nn.Module:
    """Take the wrappers off every part of it."""
    module = _inner(module)
    for name, part in list(module.named_children()):
        plain = _without_wrappers(part)
        if plain is not part:
            setattr(module, name, plain)
    return module


def _make_plain(module: torch.nn.Module) -> None:
    """Replace parametrisations, such as weight_norm, by the parameters that they compute.

    `remove_parametrizations` would change the class, which the user's module shares.
    """
    for part in [part for part in module.modules() if is_parametrized(part)]:
        with torch.no_grad():
            names = [name for name, _ in part.get_submodule("parametrizations").named_children()]
            computed = {name: getattr(part, name).clone() for name in names}
        del part.parametrizations
        part.__class__ = type(part).__bases__[0]
        for name, value in computed.items():
            part.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))


def _described(given: Any) -> str:
    """Say what it is instead of a module, and what to pass."""
    if inspect.isclass(given):
        return f"the class {given.__name__}: pass an instance of it"
    if isinstance(given, str | os.PathLike):
        return f"a path, {os.fspath(given)!r}: load the module first, and pass that"
    if isinstance(given, Mapping):
        kind = "a state_dict" if any(isinstance(value, Tensor) for value in given.values()) else "a dict"
        return f"{kind}, which has no forward: build the module, load_state_dict() into it, and pass that"
    if isinstance(given, torch.export.ExportedProgram):
        return "an ExportedProgram: pass the module that it was made from"
    if callable(given):
        return f"a {type(given).__name__}: wrap it in a torch.nn.Module that calls it in forward"
    return f"{type(given).__name__}: pass the module itself"
