"""Copies of modules: what is taken off, what is made plain, what cannot be copied, and what is no module."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrizations, prune

from export import ExportError
from export.module_copy import checked_module, copied

Make = Callable[[], torch.nn.Module]
X = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))


def linear() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(6, 3)


def compiled() -> torch.nn.Module:
    module: torch.nn.Module = torch.compile(linear())  # type: ignore[assignment]
    return module


def parallel() -> torch.nn.Module:
    return torch.nn.DataParallel(linear())


def averaged() -> torch.nn.Module:
    return torch.optim.swa_utils.AveragedModel(linear())


def twice() -> torch.nn.Module:
    module: torch.nn.Module = torch.compile(parallel())  # type: ignore[assignment]
    return module


def compiled_in_place() -> torch.nn.Module:
    module = linear()
    module.compile()
    return module


def weight_norm() -> torch.nn.Module:
    module: torch.nn.Module = parametrizations.weight_norm(linear())
    return module


def spectral_norm() -> torch.nn.Module:
    return parametrizations.spectral_norm(linear())


def orthogonal() -> torch.nn.Module:
    return parametrizations.orthogonal(linear())


def old_weight_norm() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.nn.utils.weight_norm(linear())


def pruned() -> torch.nn.Module:
    return prune.l1_unstructured(linear(), "weight", 0.5)  # type: ignore[no-any-return]


class Keeping(torch.nn.Module):
    """Keeps its last output, as some do for their attention maps."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = self.inner(x)
        return self.last  # type: ignore[no-any-return]


def keeping() -> torch.nn.Module:
    module = Keeping()
    module(X)
    return module


def in_a_sequence(make: Make) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.ReLU(), make())


WRAPPED = [compiled, parallel, averaged, twice]
PLAIN = [compiled_in_place, weight_norm, spectral_norm, orthogonal, old_weight_norm, pruned, keeping]


@pytest.mark.parametrize("make", WRAPPED)
def test_wrappers_are_taken_off(make: Make) -> None:
    assert type(checked_module(make())) is torch.nn.Linear
    outer = in_a_sequence(make)
    plain = copied(checked_module(outer), torch.float32)
    assert [type(part) for part in plain.children()] == [torch.nn.ReLU, torch.nn.Linear]
    assert type(outer[1]) is not torch.nn.Linear  # type: ignore[index]
    torch.testing.assert_close(plain(X), linear()(X.relu()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", PLAIN)
def test_a_copy_computes_the_same(make: Make, dtype: torch.dtype) -> None:
    module = in_a_sequence(make)
    expected = module.eval()(X).detach()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kind = type(module[1])  # type: ignore[index]
    found = copied(checked_module(module.train()), dtype)
    assert not any(part.training for part in found.modules())
    assert found(X.to(dtype)).dtype == dtype
    torch.testing.assert_close(found(X.to(dtype)).float(), expected)
    assert module.training
    assert type(module[1]) is kind  # type: ignore[index]
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(module.eval()(X), expected)


@pytest.mark.parametrize("make", [weight_norm, spectral_norm, orthogonal])
def test_parametrisations_become_parameters(make: Make) -> None:
    found = copied(make(), torch.float64)
    assert type(found) is torch.nn.Linear
    assert {name: value.dtype for name, value in found.named_parameters()} == dict.fromkeys(
        ["bias", "weight"], torch.float64
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_complex_parameters_stay_complex(dtype: torch.dtype) -> None:
    module = linear()
    module.turn = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    assert {name: value.is_complex() for name, value in copied(module, dtype).named_parameters()} == {
        "weight": False,
        "bias": False,
        "turn": True,
    }


def test_what_cannot_be_copied() -> None:
    module = linear()
    module.source = (number for number in range(3))  # type: ignore[assignment]
    message = (
        r"^expected a module that can be copied, found one that cannot \(TypeError: .*generator.*\): delete or detach"
    )
    with pytest.raises(ExportError, match=message):
        copied(module, torch.float32)


def lazy() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.LazyLinear(3))


def on_meta() -> torch.nn.Module:
    return torch.nn.Sequential(linear()).to("meta")


def statistics_on_meta() -> torch.nn.Module:
    norm = torch.nn.BatchNorm1d(6)
    norm.running_mean = torch.zeros(6, device="meta")
    return norm


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (linear().state_dict(), "expected a torch.nn.Module, found a state_dict, which has no forward: build the "),
        ({"epoch": 3, "model": {}}, "found a dict, which has no forward: build the module, load_state_dict() into it"),
        ("model.pt", "found a path, 'model.pt': load the module first, and pass that"),
        (Path("a/model.pt"), "found a path, 'a/model.pt': load the module first, and pass that"),
        (torch.nn.Linear, "found the class Linear: pass an instance of it"),
        (torch.relu, "found a builtin_function_or_method: wrap it in a torch.nn.Module that calls it in forward"),
        (None, "found NoneType: pass the module itself"),
        (torch.zeros(2), "found Tensor: pass the module itself"),
        (lazy(), "expected initialised parameters, found none in '0.weight': run the module on an image once"),
        (on_meta(), "expected parameters with numbers, found '0.weight' on the meta device, where there are none: "),
        (statistics_on_meta(), "found 'running_mean' on the meta device"),
    ],
)  # fmt: skip
def test_what_is_no_module_or_has_no_numbers(given: Any, message: str) -> None:
    with pytest.raises(ExportError, match=re.escape(message)):
        checked_module(given)


def test_an_exported_program() -> None:
    program = torch.export.export(linear(), (X,))
    with pytest.raises(ExportError, match=r"found an ExportedProgram: pass the module that it was made from$"):
        checked_module(program)


def test_the_remedies_of_a_module_without_numbers() -> None:
    module = on_meta()
    module.load_state_dict(torch.nn.Sequential(linear()).state_dict(), assign=True)
    torch.testing.assert_close(copied(checked_module(module), torch.float32)(X), linear()(X))
    initialised = lazy()
    initialised(X)
    assert copied(checked_module(initialised), torch.float32)(X).shape == (4, 3)
