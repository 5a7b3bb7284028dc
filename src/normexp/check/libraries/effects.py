"""What functions do to the kind of a value: the words in which the tables of the libraries are written."""

from __future__ import annotations

from typing import Final, Literal

from normexp.check.arithmetic import EPSILON
from normexp.check.event import Operation
from normexp.check.known import integer, number, tensor, truth
from normexp.check.libraries.call import Call, Effect
from normexp.check.shapes import added_axis, dropped_axis
from normexp.check.terms import term
from normexp.check.values import NONE, Constant, Fill, Kind, List, Place, Rest, Tensor, Tuple, Value

MATRIX: Final = "matrix"
"""The term of what NumPy calls a matrix: no axis of it is ever dropped."""

Along = tuple[int, tuple[str, ...]]
"""Where an axis is given: by position (-1: not), by these names."""

UNKNOWN_AXIS: Final = "?"

_OPERATIONS: Final[dict[Kind, Operation]] = {
    Kind.PROBABILITIES: "softmax",
    Kind.LOG_PROBABILITIES: "log_softmax",
    Kind.SIGMOID: "sigmoid",
}


def normalised(
    call: Call, kind: Kind, value: Tensor, dim: Value | None, shown: str, place: Place, default: int | None = None
) -> Tensor:
    """Give what a softmax, a log_softmax or a sigmoid makes of a value, and tell the rules."""
    axis = default if dim is None else integer(dim)
    made = Tensor(
        kind=kind,
        axis=None if kind is Kind.SIGMOID else axis,
        rank=value.rank,
        sizes=value.sizes,
        half=value.half,
        term=term(_OPERATIONS[kind], value.term, axis),
        origin=place,
        trace=(place.step(shown),),
    )
    given = dim if dim is not None or default is None else Constant(default)
    call.report(_OPERATIONS[kind], shown, made, input=value, dim=given)
    return made


def softmax(along: Along, kind: Kind = Kind.PROBABILITIES, *, default: int | None = None, name: str = "") -> Effect:
    """Make the effect of a function that normalises along an axis."""

    def effect(call: Call) -> Value:
        dim = call.get(along[0], *along[1])
        if dim is None and call.arguments.open:
            dim = Tensor()
        shown = name or call.name.rpartition(".")[2]
        return normalised(call, kind, call.tensor(0, "input", "x", "logits", "a"), dim, shown, call.place, default)

    return effect


def sigmoid(call: Call) -> Value:
    """Apply a sigmoid."""
    value = call.tensor(0, "input", "x", "a")
    return normalised(call, Kind.SIGMOID, value, None, call.name.rpartition(".")[2], call.place)


def loss(
    operation: Operation, inputs: tuple[str, ...], targets: tuple[str, ...] = ("target",), *, at: int = 0
) -> Effect:
    """Make the effect of a function that computes a loss of its first two arguments; `at` is the place of the input."""

    def effect(call: Call) -> Value:
        call.report(
            operation,
            call.name.rpartition(".")[2],
            Tensor(),
            input=call.get(at, *inputs),
            target=call.get(1 - at, *targets),
            log_target=call.get(-1, "log_target"),
        )
        return Tensor()

    return effect


def keep(call: Call) -> Value:
    """Give the argument as it is: its values do not change, or only in precision or place."""
    value = call.get(0, "input", "x", "a", "tensor")
    if isinstance(value, Tensor):
        return value
    return Tensor() if value is None else value


def same(call: Call) -> Value:
    """Give the argument with its kind, as an operation that moves elements around and keeps the axes."""
    value = call.tensor(0, "input", "x", "a")
    return value.passed(call.name.rpartition(".")[2], *(each.term for each in map(tensor, call.rest(1))))


def activation(call: Call) -> Value:
    """Apply something elementwise: of raw outputs it leaves raw outputs, of probabilities nothing known."""
    value = call.tensor(0, "input", "x", "a")
    made = term(call.name.rpartition(".")[2], value.term)
    if value.kind is Kind.LOGITS:
        return value.but(term=made, fill=None)
    return Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=made)


def nothing(call: Call) -> Value:
    """Give something of which nothing is known."""
    return Tensor()


def elementwise(operation: str) -> Effect:
    """Make the effect of a function of single elements that a term tells of."""

    def effect(call: Call) -> Value:
        value = call.tensor(0, "input", "x", "a")
        made = Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=term(operation, value.term))
        return made.but(kind=Kind.LOGITS, trace=value.trace) if value.kind is Kind.LOGITS else made

    return effect


def exp(call: Call) -> Value:
    """Take exponentials: of log-probabilities they are probabilities."""
    value = call.tensor(0, "input", "x", "a")
    made = Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=term("exp", value.term))
    if value.kind is Kind.LOG_PROBABILITIES:
        made = made.but(kind=Kind.PROBABILITIES, axis=value.axis, trace=value.trace).went(call.place.step("exp"))
    call.report("exp", "exp", made, input=value)
    return made


def log(call: Call) -> Value:
    """Take logarithms: of probabilities they are log-probabilities."""
    value = call.tensor(0, "input", "x", "a")
    operation = "logsumexp" if value.term.operation == "sum" and _is_exp(value) else "log"
    made = Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=term("log", value.term))
    if operation == "logsumexp":
        summed = value.term.part(0)
        made = made.but(term=term("logsumexp", summed.operands[0], *value.term.operands[1:]) if summed else made.term)
    if value.kind is Kind.PROBABILITIES:
        made = made.but(kind=Kind.LOG_PROBABILITIES, axis=value.axis, trace=value.trace).went(call.place.step("log"))
    call.report("log", "log", made, input=value)
    return made


def _is_exp(value: Tensor) -> bool:
    inner = value.term.part(0)
    return inner is not None and inner.operation == "exp"


def clamp(call: Call) -> Value:
    """Clip: probabilities stay what they are if only the ends are cut off."""
    value = call.tensor(0, "input", "x", "a")
    low = number(call.get(1, "min", "a_min"))
    made = term("clamp", value.term)
    if value.kind is Kind.LOGITS or low is None or low <= EPSILON:
        # Single elements of a softmax pass too.
        return value.but(term=made, fill=None)
    return Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=made)


def axis_of(value: Value | None) -> int | str | None:
    """Give the axis of a reduction: None is all of them."""
    if value is None or value == NONE:
        return None
    known = integer(value)
    if known is None and isinstance(value, Tuple | List) and len(value.items) == 1:
        item = value.items[0]
        known = None if isinstance(item, Rest) else integer(item)
    return UNKNOWN_AXIS if known is None else known


Reduction = Literal["sum", "max", "mean", "min", "logsumexp"]


def reduce(call: Call, operation: Reduction, along: Along, keepdims: Along) -> Tensor:
    """Reduce along an axis."""
    value = call.tensor(0, "input", "x", "a")
    axis = axis_of(call.get(along[0], *along[1]))
    if call.arguments.open and axis is None:
        axis = UNKNOWN_AXIS
    given = call.get(keepdims[0], *keepdims[1])
    keeps: bool | str = False if given is None else (UNKNOWN_AXIS if truth(given) is None else bool(truth(given)))
    if any(part.operation == MATRIX for part in value.term.parts()):
        keeps = True
    made = term(operation, value.term, axis, keeps)
    if not isinstance(axis, int):
        return Tensor(half=value.half, term=made, rank=0 if axis is None and keeps is False else None)
    if operation == "mean":
        # The mean over examples or time of probabilities is one; but no softmax made it, and so no log_softmax can.
        part = value if keeps is True else dropped_axis(value, axis)
        if keeps is True and value.axis == axis:
            part = Tensor()
        return part.but(term=made, origin=None, fill=None)
    rank = value.rank if keeps is True or value.rank is None else max(value.rank - 1, 0)
    return Tensor(half=value.half, term=made, rank=rank)


def reduction(operation: Reduction, along: Along, keepdims: Along) -> Effect:
    """Make the effect of a function that reduces along an axis."""
    return lambda call: reduce(call, operation, along, keepdims)


def argmax(call: Call) -> Value:
    """Take the index of the largest."""
    made = Tensor()
    call.report("argmax", call.name.rpartition(".")[2], made, input=call.get(0, "input", "x", "a"))
    return made


def fill(call: Call, value: Tensor, filled: Value | None) -> Tensor:
    """Fill a part in, and remember with what: a softmax may follow."""
    known = constant(filled)
    made = Tensor(
        kind=value.kind if value.kind is Kind.LOGITS else Kind.UNKNOWN,
        rank=value.rank,
        sizes=value.sizes,
        half=value.half,
        term=term("fill", value.term),
        fill=None if known is None else Fill(known, call.place),
        trace=value.trace if value.kind is Kind.LOGITS else (),
    )
    call.report("masked_fill", "masked_fill", made, input=value, value=filled)
    return made


def constant(value: Value | None) -> float | None:
    """Give the number that a value, or a tensor that is filled with one, is known to be."""
    if isinstance(value, Tensor) and value.term.operation == "constant":
        try:
            return float(str(value.term.operands[0]))
        except ValueError:
            return None
    return number(value)


def joined(call: Call) -> Value:
    """Put tensors together: what they have in common holds of the whole."""
    parts = call.get(0, "tensors", "arrays", "inputs")
    if not isinstance(parts, Tuple | List) or not parts.items:
        return Tensor()
    values = [tensor(item.item if isinstance(item, Rest) else item) for item in parts.items]
    first = values[0]
    axis = call.integer(1, "dim", "axis")
    stacked = call.name.rpartition(".")[2] == "stack"
    if any(value.kind is not first.kind for value in values):
        return Tensor()
    if first.kind not in (Kind.UNKNOWN, Kind.LOGITS):
        if stacked:
            return added_axis(first, axis if call.given(1, "dim", "axis") else 0).but(sizes=())
        if axis is None or first.axis == axis or axis in (1, -1):
            return Tensor()
        return first.but(sizes=(), term=term("cat", *(value.term for value in values)))
    return Tensor(kind=first.kind, half=first.half, trace=first.trace, rank=None if stacked else first.rank)
