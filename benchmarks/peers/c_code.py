"""What others make of our model in C: m2cgen, emlearn and micromlgen, each as its users call it.

The packages are imported where they are called, in a process of a Python that has them.

All get the weights of our checkpoint with the normalisation folded in, as scikit-learn's model for raw pixels. Around
the code of each is an adapter with the functions of our own C, so that the same programs measure all: it copies rows
into the array that the peer wants, calls it, and takes the largest of what it gives.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from ..tools.measure import Figures, fresh_in
from ..tools.subject import logistic

NAME = "peer"  # prefix of the adapter's functions
PROBABILITIES, SCORES, LABEL = "probabilities", "scores, without softmax", "the label"
RECURSION = 20_000
CSTDINT = "#include <cstdint>"  # which Arduino's own header has
ARGMAX = "{ int k, best = 0; for (k = 1; k < CLASSES; k++) if (output[k] > output[best]) best = k; return best; }"
HEADER = """#ifndef PEER_H
#define PEER_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif
#define PEER_HEIGHT {height}
#define PEER_WIDTH {width}
#define PEER_CHANNELS {channels}
#define PEER_CLASSES {classes}
typedef float peer_probability;
typedef struct {{ {pixel} pixels[{height} * {width} * {channels}]; size_t count; }} peer_state;
void peer_begin(peer_state *state);
void peer_add_row(peer_state *state, const uint8_t *row);
int peer_finish(peer_state *state, peer_probability *output);
int peer_selftest(void);
#ifdef __cplusplus
}}
#endif
#endif
"""
ADAPTER = """{include}
#include "generated.h"
#include "peer.h"
#define PIXELS (PEER_HEIGHT * PEER_WIDTH * PEER_CHANNELS)
#define CLASSES PEER_CLASSES
void peer_begin(peer_state *state) {{ state->count = 0; }}
void peer_add_row(peer_state *state, const uint8_t *row) {{
    int i;
    for (i = 0; i < PEER_WIDTH * PEER_CHANNELS; i++) state->pixels[state->count++] = row[i]{scaled};
}}
int peer_finish(peer_state *state, peer_probability *output) {{
    {call}
}}
int peer_selftest(void) {{ return 0; }} /* our programs name it; peers have none */
"""


class Model(NamedTuple):
    """A softmax regression on raw pixels.

    weights: [D, K]. bias: [K]. labels: K names. shape: height, width and channels.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    labels: tuple[str, ...]
    shape: tuple[int, ...]

    def save(self, path: Path) -> None:
        """Write it for another process."""
        path.write_text(json.dumps([self.weights.tolist(), self.bias.tolist(), self.labels, self.shape]))

    @classmethod
    def load(cls, path: Path) -> "Model":
        """Read it again."""
        weights, bias, labels, shape = json.loads(path.read_text())
        return cls(np.array(weights), np.array(bias), tuple(labels), tuple(shape))


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A way to C.

    name: after the package's and its version.
    package: as pip names it.
    write: makes the code.
    call: reads `state->pixels`, fills `output` and returns the label, in C.
    gives: PROBABILITIES, SCORES or LABEL.
    pixel: type of those that it wants, raw or, with `unit`, 0-1.
    include: a line before its code.
    cpp: whether it is C++.
    """

    name: str
    package: str
    write: Callable[[Model], str]
    call: str
    gives: str
    pixel: str = "float"
    unit: bool = False
    include: str = ""
    cpp: bool = False


def m2cgen(model: Model) -> str:
    """Call m2cgen with Python's own limit of recursion."""
    return str(import_module("m2cgen").export_to_c(_logistic(model)))


def m2cgen_deep(model: Model) -> str:
    """Call m2cgen with a limit that suffices."""
    sys.setrecursionlimit(RECURSION)
    return m2cgen(model)


def emlearn(model: Model) -> str:
    """Convert the logistic regression."""
    return _emlearn_of(_logistic(model))


def emlearn_network(model: Model) -> str:
    """Convert scikit-learn's network without a hidden layer."""
    return _network([model.weights], [model.bias])


def emlearn_identity(model: Model, **options: str) -> str:
    """Convert a network whose hidden layer is ours, without activation, and whose last layer is the identity matrix."""
    classes = len(model.bias)
    return _network([model.weights, np.eye(classes)], [model.bias, np.zeros(classes)], **options)


def emlearn_int8(model: Model) -> str:
    """Convert it and ask for quantization."""
    return emlearn_identity(model, dtype="int8")


def _network(weights: list[NDArray[np.float64]], biases: list[NDArray[np.float64]], **options: str) -> str:
    from sklearn.neural_network import MLPClassifier

    network: Any = MLPClassifier(hidden_layer_sizes=[len(bias) for bias in biases[:-1]], activation="identity")
    network.coefs_, network.intercepts_ = weights, biases
    network.n_layers_, network.out_activation_ = len(weights) + 1, "softmax"
    return _emlearn_of(network, **options)


def emlearn_dense(model: Model) -> str:
    """Convert a Keras model of one Dense layer, or what is named as one: emlearn looks at no more."""
    return _emlearn_of(_keras(model))


def emlearn_inline(model: Model) -> str:
    """Convert it "inline"."""
    return _emlearn_of(_keras(model), "inline")


def _keras(model: Model) -> Any:

    def softmax() -> None:
        """Lend its name."""

    about = {
        "use_bias": True,
        "activation": staticmethod(softmax),
        "get_weights": lambda _: [model.weights, model.bias],
    }
    return type("Sequential", (), {"layers": [type("Dense", (), about)()]})()


def _emlearn_of(classifier: Any, inference: str = "loadable", **options: str) -> str:
    """Convert by one of emlearn's two ways, of which "loadable" is the default."""
    converted = import_module("emlearn").convert(classifier, method=inference, **options)
    return str(converted.save(name="net", inference=[inference]))


def micromlgen(model: Model) -> str:
    """Port the logistic regression, with the labels."""
    return _micromlgen(model, "arduino")


def micromlgen_attiny(model: Model) -> str:
    """Port it for what has no va_arg."""
    return _micromlgen(model, "attiny")


def _micromlgen(model: Model, platform: str) -> str:
    labels = dict(enumerate(model.labels))
    return str(import_module("micromlgen").port(_logistic(model), platform=platform, classmap=labels))


def _logistic(model: Model) -> Any:
    numbers: Any = model.weights, model.bias  # float64, in place of the float32 that the other benchmarks have
    return logistic(*numbers)


def _m2cgen(name: str, write: Callable[[Model], str]) -> Peer:
    call = f"""double output_[CLASSES]; int i; score(state->pixels, output_);
    for (i = 0; i < CLASSES; i++) output[i] = (float)output_[i];
    {ARGMAX}"""
    return Peer(name=name, package="m2cgen", write=write, call=call, gives=SCORES, pixel="double")


def _emlearn(name: str, write: Callable[[Model], str], *, inline: bool = False, unit: bool = False) -> Peer:
    ask = (
        "net_infer(state->pixels, PIXELS, net_activations1, net_activations2, net_activations_length);\n"
        "    for (i = 0; i < CLASSES && !error; i++) output[i] = net_activations2[i];"
        if inline
        else "eml_net_predict_proba(&net, state->pixels, PIXELS, output, CLASSES);"
    )
    call = f"int i = 0, error = {ask}\n    if (error) return -error - i;\n    {ARGMAX}"
    return Peer(name=name, package="emlearn", write=write, call=call, gives=PROBABILITIES, unit=unit)


def _micro(name: str, write: Callable[[Model], str], include: str = "") -> Peer:
    call = "static Eloquent::ML::Port::LogisticRegression model; (void)output; return model.predict(state->pixels);"
    return Peer(name=name, package="micromlgen", write=write, call=call, gives=LABEL, include=include, cpp=True)


PEERS = (
    _m2cgen("LogisticRegression", m2cgen),
    _m2cgen(f"LogisticRegression, recursion limit {RECURSION:,}", m2cgen_deep),
    _emlearn("LogisticRegression", emlearn),
    _emlearn("MLPClassifier without a hidden layer", emlearn_network),
    _emlearn("Keras Sequential of one Dense layer", emlearn_dense),
    _emlearn("Keras Sequential of one Dense layer, inline", emlearn_inline, inline=True),
    _emlearn("MLPClassifier, identity layer added", emlearn_identity),
    _emlearn("MLPClassifier, identity layer added, pixels 0-1", emlearn_identity, unit=True),
    _emlearn("MLPClassifier, identity layer added, dtype int8", emlearn_int8),
    _micro("LogisticRegression", micromlgen),
    _micro("LogisticRegression, cstdint included first", micromlgen, CSTDINT),
    _micro("LogisticRegression, platform attiny, cstdint included first", micromlgen_attiny, CSTDINT),
)


class Outcome(NamedTuple):
    """How a peer did.

    title: its name, with the version where it is installed. includes: folders of the C headers that it brings.
    error: what went wrong; empty if nothing.
    """

    title: str
    includes: Sequence[str]
    error: str


def written(place: int, model: Path, folder: Path, python: Path) -> Outcome:
    """Write the files of PEERS[place] to a folder.

    model: its file. folder: an empty one. python: the Python that has the peers.
    """
    peer = PEERS[place]
    try:
        found = fresh_in(python, _write, place=place, model=str(model), folder=str(folder))
    except click.ClickException as error:  # the process did not end well
        return Outcome(f"{peer.package}, {peer.name}", (), error.message)
    return Outcome(f"{peer.package}{found['version']}, {peer.name}", found["includes"], found["error"])


def _write(place: int, model: str, folder: str) -> Figures:
    """Write them; in a process of its own, whose folder and limit of recursion are its own."""
    peer = PEERS[place]
    os.chdir(folder)  # emlearn leaves files where it is called
    try:
        package = import_module(peer.package)
    except ModuleNotFoundError as error:
        return {"version": "", "includes": [], "error": f"not installed ({error}): pip install {peer.package}"}
    found = {"version": f" {version(peer.package)}", "includes": [str(getattr(package, "includedir", "."))]}
    loaded = Model.load(Path(model))
    scaled = loaded._replace(weights=loaded.weights * 255) if peer.unit else loaded
    try:
        code = peer.write(scaled)
    except Exception as error:
        return {**found, "error": f"{type(error).__name__}: {error}"}
    adapt(peer, code, loaded, Path(folder))
    return {**found, "error": ""}


def adapt(peer: Peer, code: str, model: Model, folder: Path) -> None:
    """Write the generated code and the adapter."""
    height, width, channels = model.shape
    header = HEADER.format(height=height, width=width, channels=channels, classes=len(model.bias), pixel=peer.pixel)
    scaled = " * (1.0f / 255)" if peer.unit else ""
    adapter = ADAPTER.format(include=peer.include, scaled=scaled, call=peer.call)
    files = {"generated.h": code, "peer.h": header, f"peer.{'cpp' if peer.cpp else 'c'}": adapter}
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
