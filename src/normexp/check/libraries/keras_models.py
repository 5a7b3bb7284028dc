"""Keras' models: what calling one gives, and what compiling one demands of it."""

from __future__ import annotations

from typing import Final

from normexp.check.known import integer, truth
from normexp.check.libraries import containers
from normexp.check.libraries.adapters import first, renamed
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.containers import added, change, in_turn
from normexp.check.libraries.effects import normalised
from normexp.check.libraries.keras_layers import NAMED, activated, raw
from normexp.check.libraries.keras_losses import SPELLINGS, named
from normexp.check.machine import Arguments
from normexp.check.values import (
    NONE,
    Class,
    Constant,
    Dictionary,
    Instance,
    Kind,
    Library,
    List,
    Made,
    OneOf,
    Rest,
    Tensor,
    Tuple,
    Value,
)


def _layers(made: Made) -> tuple[Value | Rest, ...]:
    given = made.get(0, "layers")
    first = given.items if isinstance(given, List | Tuple) else () if given in (None, NONE) else (Rest(Tensor()),)
    return (*first, *added(made).items)


def _sequential(call: Call) -> Value:
    layers = _layers(call.made) if call.made is not None else ()
    return in_turn(call, layers, call.get(0, "inputs") or Tensor())


def _functional(call: Call) -> Value:
    """Give what the layers gave when the model was put together: its inputs were unknown then, too."""
    outputs = call.made.get(1, "outputs", "output") if call.made is not None else None
    return outputs or Tensor()


def _sequence(receiver: Value | None) -> Made | None:
    found = receiver.attributes.get("@base") if isinstance(receiver, Instance) else receiver
    return found if isinstance(found, Made) and found.name == "keras.Sequential" else None


def _add(call: Call) -> Value:
    container = _sequence(call.receiver)
    if container is not None:
        change(call, container, (*added(container).items, call.get(1, "layer") or Tensor()))
    return NONE


def _pop(call: Call) -> Value:
    container = _sequence(call.receiver)
    if container is not None:
        items = added(container).items
        # Of those that the model was made with, one may go: what then comes out is not known.
        left = items[:-1] if items and not isinstance(items[-1], Rest) else (*items, Tensor())
        change(call, container, left)
    return NONE


def _outputs(call: Call) -> Value:
    training: dict[str, Value] = {"training": Constant(True)}
    return call.machine.call(call.receiver or Tensor(), Arguments((Tensor(),), training), call.place, call.frame)


_STEPS: Final = ("train_step", "compute_loss", "fit")


def _defines(cls: Class, name: str, depth: int = 0) -> bool:
    bases = cls.bases if depth < 16 else ()
    return name in cls.attributes or any(isinstance(base, Class) and _defines(base, name, depth + 1) for base in bases)


def _compile(call: Call) -> Value:
    loss = call.get(2, "loss")
    if isinstance(call.receiver, Instance) and any(_defines(call.receiver.cls, name) for name in _STEPS):
        return NONE  # what its own steps give to the loss need not be what it returns
    if loss is not None and loss != NONE:
        _compare(call, loss, _outputs(call))
    return NONE


def _compare(call: Call, loss: Value, outputs: Value) -> None:
    """Hand each output to its loss, as the first step of training will."""
    match loss:
        case Dictionary(contents=losses):
            by_name = _by_name(outputs)
            for name, one in losses.items():
                if name in by_name:
                    _compare(call, one, by_name[name])
        case Tuple(items=losses) if len(losses) == len(_each(outputs)):
            for each, output in zip(losses, _each(outputs), strict=True):
                if not isinstance(each, Rest):
                    _compare(call, each, output)
        case List():
            _compare(call, Tuple(loss.items), outputs)
        case OneOf(options=options):
            for option in options:
                _compare(call, option, outputs)
        case Constant(value=str(name)):
            spelt = SPELLINGS.get(name, name)
            _compare(call, named(call, spelt) or Library(f"keras.losses.{spelt}"), outputs)
        case _:
            for output in _each(outputs):
                call.apply(loss, Tensor(), output)


def _each(outputs: Value) -> tuple[Value, ...]:
    """Give the outputs of a model in order; none if they have no order."""
    if isinstance(outputs, Dictionary):
        return ()
    items = outputs.items if isinstance(outputs, Tuple | List) else (outputs,)
    return () if any(isinstance(item, Rest) for item in items) else tuple(i for i in items if not isinstance(i, Rest))


def _by_name(outputs: Value) -> dict[object, Value]:
    if isinstance(outputs, Dictionary):
        return dict(outputs.contents)
    return {_name(output): output for output in _each(outputs)}


def _name(output: Value) -> str | None:
    if isinstance(output, Tensor) and output.term.operation == NAMED:
        return str(output.term.operands[1])
    return None


def _predict(call: Call) -> Value:
    """Predict: what comes out is an array, of which no logarithm can be taken before the softmax."""
    outputs = _outputs(call)
    return outputs.but(origin=None) if isinstance(outputs, Tensor) else Tensor()


def is_application(name: str) -> bool:
    """Tell whether a class makes a model that is known by its name: ResNet50."""
    return name.startswith("keras.applications.") and name.rpartition(".")[2][:1].isupper()


def call_application(call: Call) -> Value:
    """Call such a model: it ends in a softmax of 1000 classes if nobody says otherwise."""
    made = call.made
    if made is None:
        return Tensor()
    top, activation = made.get(0, "include_top"), made.get(-1, "classifier_activation")
    if (top is not None and not truth(top)) or made.open:
        return Tensor()
    classes = made.get(-1, "classes")
    size = integer(classes) if classes is not None else 1000
    value = raw(made.place, made.name.rpartition(".")[2], Tensor(), size)
    if activation is None:
        return normalised(call, Kind.PROBABILITIES, value, None, "softmax", made.place, default=-1)
    return activated(call, value, activation, made.place)


FUNCTIONS: Final[dict[str, Effect]] = {
    "keras.Sequential": containers.made,
    "keras.models.clone_model": renamed(first, model="f"),
    "keras.utils.multi_gpu_model": renamed(first, model="f"),
}
MADE: Final[dict[str, Effect]] = {"keras.Sequential": _sequential, "keras.Model": _functional}
METHODS: Final[dict[tuple[str, str], Effect]] = {
    ("keras.Sequential", "add"): _add,
    ("keras.Sequential", "pop"): _pop,
    **{(model, "compile"): _compile for model in ("keras.Sequential", "keras.Model")},
    **{(model, "predict"): _predict for model in ("keras.Sequential", "keras.Model")},
}
