"""Keras' layers: what calling one gives."""

from __future__ import annotations

from typing import Final

from normexp.check.join import join_all
from normexp.check.known import integer, tensor, text
from normexp.check.libraries.adapters import logits_or_nothing, squashed
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import normalised
from normexp.check.machine import Arguments
from normexp.check.terms import DEEPEST, Term, term, unknown
from normexp.check.values import NONE, Kind, Library, List, Made, OneOf, Place, Rest, Tensor, Tuple, Value

NAMED: Final = "named"
"""The term of what a layer with a name gives: a dict of losses goes by these names."""


def raw(place: Place, name: str, value: Tensor, size: int | None) -> Tensor:
    """Give the output of a layer that nothing has normalised; its features are on the last axis."""
    sizes = ((-1, size),) if size is not None else ()
    made = term("layer", value.term, id(place.node))
    return Tensor(kind=Kind.LOGITS, sizes=sizes, half=value.half, trace=(place.step(name),), term=made)


def activated(call: Call, value: Value, activation: Value | None, place: Place) -> Value:
    """Apply an activation: a name, a function, a layer, or None."""
    if activation is None or activation == NONE:
        return value
    if isinstance(activation, OneOf):
        return join_all([activated(call, value, option, place) for option in activation.options])
    name = text(activation)
    if name is not None:
        activation = Library(f"keras.activations.{name}")
    return call.machine.call(activation, Arguments((value,)), place, call.frame)


def _named(made: Made, value: Value) -> Value:
    name = text(made.keywords.get("name"))
    if name is None or not isinstance(value, Tensor):
        return value
    return value.but(term=Term(NAMED, (value.term if value.term.depth < DEEPEST else unknown(), name)))


def _layer(units: tuple[str, ...], activation_at: int) -> Effect:
    """Make the effect of a layer with weights, whose first argument is the number of its outputs."""

    def effect(call: Call) -> Value:
        made = call.made
        if made is None:
            return Tensor()
        first = made.get(-1, "data_format") in (None, NONE) or text(made.get(-1, "data_format")) == "channels_last"
        size = integer(made.get(0, *units)) if first else None
        value = raw(made.place, made.name.rpartition(".")[2], call.tensor(0, "inputs"), size)
        return _named(made, activated(call, value, made.get(activation_at, "activation"), made.place))

    return effect


def _made(call: Call) -> Value:
    """Make a layer, and look at what its activation does: that is wrong or right wherever it is called."""
    given = call.arguments
    made = Made(call.name, given.positional, dict(given.keywords), call.place, open=given.open)
    if "activation" in given.keywords:
        call.apply(made, Tensor())
    return made


def _activation(call: Call) -> Value:
    made = call.made
    if made is None:
        return Tensor()
    return _named(made, activated(call, call.tensor(0), made.get(0, "activation"), made.place))


def _softmax(call: Call) -> Value:
    made = call.made
    if made is None:
        return Tensor()
    value = call.tensor(0, "inputs")
    return _named(
        made, normalised(call, Kind.PROBABILITIES, value, made.get(0, "axis"), "softmax", made.place, default=-1)
    )


def _keep(call: Call) -> Value:
    value = call.get(0, "inputs")
    return Tensor() if value is None else value


def _keeps_logits(call: Call) -> Value:
    made = logits_or_nothing(call)
    return _named(call.made, made) if call.made is not None else made


def _moved(call: Call) -> Value:
    """Flatten, reshape or permute: raw outputs stay raw, but their features are no longer the last axis."""
    value = logits_or_nothing(call)
    return value.but(sizes=(), rank=None) if isinstance(value, Tensor) else value


def _averaged(call: Call) -> Value:
    """Average over positions: of probabilities there, these are still probabilities."""
    value = call.tensor(0, "inputs")
    if value.kind in (Kind.LOGITS, Kind.PROBABILITIES):
        return value.but(term=term("layer", value.term, id(call.made)), fill=None, origin=None)
    return Tensor()


def _wrapped(call: Call) -> Value:
    made = call.made
    inner = made.get(0, "layer") if made is not None else None
    if made is None or inner is None:
        return Tensor()
    return _named(made, call.apply(inner, call.get(0, "inputs") or Tensor()))


def _lambda(call: Call) -> Value:
    made = call.made
    inner = made.get(0, "function") if made is not None else None
    return Tensor() if inner is None else call.apply(inner, call.get(0, "inputs") or Tensor())


def _merged(call: Call) -> Value:
    """Put outputs together: of raw ones, and of nothing else, what comes out is raw."""
    given = call.get(0, "inputs")
    items = given.items if isinstance(given, List | Tuple) else ()
    values = [tensor(item.item if isinstance(item, Rest) else item) for item in items]
    if values and all(value.kind is Kind.LOGITS for value in values):
        return Tensor(kind=Kind.LOGITS, trace=values[0].trace)
    return Tensor()


_INPUT: Final = ("keras.Input", "keras.layers.InputLayer")
_DENSE: Final = ("keras.layers.Dense",)
_CONVOLUTIONS: Final = tuple(
    f"keras.layers.{name}"
    for n in (1, 2, 3)
    for name in (
        f"Conv{n}D",
        f"Convolution{n}D",
        f"Conv{n}DTranspose",
        f"SeparableConv{n}D",
        f"Convolution{n}DTranspose",
    )
)
_KEEP: Final = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise",
    "BatchNormalization", "LayerNormalization", "UnitNormalization", "ActivityRegularization", "Masking",
    "UpSampling1D", "UpSampling2D", "UpSampling3D", "Cropping1D", "Cropping2D", "Cropping3D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalMaxPool1D", "GlobalMaxPool2D",
)  # fmt: skip
_AVERAGE: Final = tuple(
    f"{scope}{name}{n}D" for scope in ("", "Global") for name in ("AveragePooling", "AvgPool") for n in (1, 2, 3)
)
_SQUASH: Final = ("ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU")
_MERGE: Final = ("Add", "Subtract", "Average", "Maximum", "Concatenate")
_UNKNOWN: Final = (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "Bidirectional",
    "Embedding",
    "MultiHeadAttention",
    "Multiply",
    "Dot",
    "RepeatVector",
)

_LAYERS: Final[dict[str, Effect]] = {
    **dict.fromkeys(_INPUT, _keep),
    **dict.fromkeys(_DENSE, _layer(("units", "output_dim"), 1)),
    **dict.fromkeys(_CONVOLUTIONS, _layer(("filters", "nb_filter"), -1)),
    "keras.layers.Activation": _activation,
    "keras.layers.Softmax": _softmax,
    "keras.layers.TimeDistributed": _wrapped,
    "keras.layers.Lambda": _lambda,
    "keras.layers.Identity": _keep,
    **{f"keras.layers.{name}": _moved for name in ("Flatten", "Reshape", "Permute")},
    **{f"keras.layers.{name}": _keeps_logits for name in _KEEP},
    **{f"keras.layers.{name}": _averaged for name in _AVERAGE},
    **{f"keras.layers.{name}": squashed for name in _SQUASH},
    **{f"keras.layers.{name}": _merged for name in _MERGE},
    **{f"keras.layers.{name}": lambda call: Tensor() for name in _UNKNOWN},
}
MADE: Final[dict[str, Effect]] = _LAYERS

FUNCTIONS: Final[dict[str, Effect]] = {
    "keras.Input": lambda call: Tensor(),
    **dict.fromkeys((*_DENSE, *_CONVOLUTIONS), _made),
    # The functions of Keras 2 beside the layers: concatenate([a, b]).
    **{f"keras.layers.{name.lower()}": _merged for name in _MERGE},
}  # fmt: skip
SET_UP: Final[dict[str, str]] = {"keras.Model": "build", "keras.layers.Layer": "build", "keras.Layer": "build"}

_OLD_MODULES: Final = (
    "core", "convolutional", "pooling", "recurrent", "normalization", "embeddings", "advanced_activations", "wrappers",
    "merge", "noise", "local", "merging", "regularization", "reshaping", "rnn", "activation", "attention",
)  # fmt: skip
ALIASES: Final = (
    ("tensorflow.python.keras.", "keras."),
    ("tensorflow.contrib.keras.api.keras.", "keras."),
    ("tensorflow.contrib.keras.", "keras."),
    ("tensorflow.keras.", "keras."),
    ("tf_keras.", "keras."),
    ("keras.src.", "keras."),
    ("keras.api.", "keras."),
    ("keras._tf_keras.keras.", "keras."),
    ("keras.objectives.", "keras.losses."),
    *((f"keras.layers.{module}.", "keras.layers.") for module in _OLD_MODULES),
)
NAMES: Final[dict[str, str]] = {
    "keras.models.Sequential": "keras.Sequential",
    "keras.models.Model": "keras.Model",
    "keras.engine.Model": "keras.Model",
    "keras.engine.sequential.Sequential": "keras.Sequential",
    "keras.engine.training.Model": "keras.Model",
    "keras.models.Functional": "keras.Model",
    "keras.layers.Input": "keras.Input",
    "keras.engine.Input": "keras.Input",
    "keras.engine.input_layer.Input": "keras.Input",
    "keras.engine.topology.Input": "keras.Input",
    "keras.engine.base_layer.Layer": "keras.layers.Layer",
    "keras.engine.topology.Layer": "keras.layers.Layer",
    "keras.Layer": "keras.layers.Layer",
}
"""Whole names under which the same things can be reached."""
