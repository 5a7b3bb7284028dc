"""PyTorch's modules: what calling a layer, a criterion, a container or a wrapper gives."""

from __future__ import annotations

from typing import Final

from normexp.check.known import integer, tensor
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.containers import added, in_turn
from normexp.check.libraries.effects import normalised
from normexp.check.terms import term
from normexp.check.values import Constant, Dictionary, Kind, List, Made, Rest, Tensor, Tuple, Value


def contained(made: Made) -> tuple[Value | Rest, ...]:
    """Give the modules in a container, in order."""
    items = made.positional
    if len(items) == 1 and isinstance(items[0], Dictionary):
        items = tuple(items[0].contents.values())
    elif len(items) == 1 and isinstance(items[0], List | Tuple):
        items = items[0].items
    items = (*items, *added(made).items)
    changed = {int(name[1:-1]): value for name, value in made.attributes.items() if name[1:-1].lstrip("-").isdigit()}
    if changed and not any(isinstance(item, Rest) for item in items):
        changed = {at % len(items): value for at, value in changed.items() if -len(items) <= at < len(items)}
        items = tuple(changed.get(at, item) for at, item in enumerate(items))
    return items


def _sequential(call: Call) -> Value:
    value: Value = call.get(0, "input", "x") or Tensor()
    if call.made is None:
        return Tensor()
    return in_turn(call, contained(call.made), value)


def _softmax(kind: Kind, shown: str, dim: int | None = None) -> Effect:
    def effect(call: Call) -> Value:
        made = call.made
        if made is None:
            return Tensor()
        given = Constant(dim) if dim is not None else made.get(0, "dim")
        return normalised(call, kind, call.tensor(0, "input"), given, shown, made.place)

    return effect


def _linear(call: Call) -> Value:
    value, made = call.tensor(0, "input"), call.made
    if made is None:
        return Tensor()
    size = integer(made.get(1, "out_features"))
    return _raw(call, made, value, ((-1, size),) if size is not None else (), value.rank)


def _convolution(dimensions: int) -> Effect:
    def effect(call: Call) -> Value:
        value, made = call.tensor(0, "input"), call.made
        if made is None:
            return Tensor()
        entering, leaving = made.get(0, "in_channels"), made.get(1, "out_channels")
        size = integer(leaving)
        sizes = ((1, size),) if size is not None else ()
        # As many channels out as in: they may be heads of attention, of which no axis is that of the classes.
        rank = None if tensor(entering).term == tensor(leaving).term else dimensions + 2
        return _raw(call, made, value, sizes if rank else (), rank)

    return effect


def _raw(call: Call, made: Made, value: Tensor, sizes: tuple[tuple[int, int], ...], rank: int | None) -> Tensor:
    step = made.place.step(made.name.rpartition(".")[2])
    return Tensor(
        kind=Kind.LOGITS,
        rank=rank,
        sizes=sizes,
        half=value.half,
        trace=(step,),
        term=term("layer", value.term, id(made)),
    )


def _keeps_logits(call: Call) -> Value:
    value = call.tensor(0, "input")
    made = term("layer", value.term, id(call.made))
    if value.kind is Kind.LOGITS:
        return value.but(term=made, fill=None)
    return Tensor(rank=value.rank, half=value.half, term=made)


def _identity(call: Call) -> Value:
    return call.get(0, "input") or Tensor()


def _pool(call: Call) -> Value:
    value = call.tensor(0, "input")
    return value.but(term=term("layer", value.term, id(call.made)), fill=None, origin=None)


def _flatten(call: Call) -> Value:
    value = call.tensor(0, "input")
    start = integer(call.made.get(0, "start_dim")) if call.made else None
    if value.kind is Kind.LOGITS or start not in (None, 1):
        return Tensor(kind=value.kind if value.kind is Kind.LOGITS else Kind.UNKNOWN, rank=2, trace=value.trace)
    return value.but(rank=2) if value.rank in (None, 2) else Tensor(rank=2)


def _loss(operation: str) -> Effect:
    def effect(call: Call) -> Value:
        made = call.made
        log_target = made.get(-1, "log_target") if made is not None else None
        call.report(
            operation,  # type: ignore[arg-type]
            call.name.rpartition(".")[2],
            Tensor(),
            input=call.get(0, "input"),
            target=call.get(1, "target"),
            log_target=Constant(False) if log_target is None else log_target,
        )
        return Tensor()

    return effect


def _wrapped(call: Call) -> Value:
    inner = wrapped(call.made) if call.made else None
    return Tensor() if inner is None else call.machine.call(inner, call.arguments, call.place, call.frame)


def wrapped(made: Made) -> Value | None:
    """Give the module in a wrapper."""
    return made.get(0, "module", "model")


def _recurrent(call: Call) -> Value:
    return Tuple((Tensor(), Tensor()))


def _partial(call: Call) -> Value:
    made = call.made
    if made is None or not made.positional or isinstance(made.positional[0], Rest):
        return Tensor()
    arguments = type(call.arguments)(
        (*made.positional[1:], *call.arguments.positional), made.keywords | call.arguments.keywords, call.arguments.open
    )
    return call.machine.call(made.positional[0], arguments, call.place, call.frame)


WRAPPERS: Final = frozenset(
    {
        "torch.nn.DataParallel",
        "torch.nn.parallel.DataParallel",
        "torch.nn.parallel.DistributedDataParallel",
        "torch.distributed.fsdp.FullyShardedDataParallel",
        "apex.parallel.DistributedDataParallel",
        "torch.optim.swa_utils.AveragedModel",
    }
)
CONTAINERS: Final = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})

_KEEP: Final = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LayerNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "SyncBatchNorm",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "SELU",
    "GELU",
    "CELU",
    "SiLU",
    "Mish",
    "Hardswish",
    "Hardtanh",
    "ReLU6",
    "PReLU",
    "RReLU",
    "Softplus",
    "Tanh",
    "Softsign",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "ZeroPad2d",
    "ReflectionPad2d",
    "ReplicationPad2d",
    "PixelShuffle",
]
_POOLS: Final = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]

MADE: Final[dict[str, Effect]] = {
    "torch.nn.Sequential": _sequential,
    "torch.nn.Softmax": _softmax(Kind.PROBABILITIES, "softmax"),
    "torch.nn.Softmin": _softmax(Kind.PROBABILITIES, "softmin"),
    "torch.nn.Softmax2d": _softmax(Kind.PROBABILITIES, "softmax", -3),
    "torch.nn.LogSoftmax": _softmax(Kind.LOG_PROBABILITIES, "log_softmax"),
    "torch.nn.Sigmoid": _softmax(Kind.SIGMOID, "sigmoid", -1),
    "torch.nn.Linear": _linear,
    "torch.nn.LazyLinear": _linear,
    "torch.nn.Bilinear": _keeps_logits,
    **{f"torch.nn.{lazy}Conv{n}d": _convolution(n) for n in (1, 2, 3) for lazy in ("", "Lazy")},
    **{f"torch.nn.ConvTranspose{n}d": _convolution(n) for n in (1, 2, 3)},
    "torch.nn.Identity": _identity,
    "torch.nn.Flatten": _flatten,
    **{f"torch.nn.{name}": _keeps_logits for name in _KEEP},
    **{f"torch.nn.{name}": _pool for name in _POOLS},
    **{f"torch.nn.{name}": _recurrent for name in ("LSTM", "GRU", "RNN", "MultiheadAttention")},
    "torch.nn.CrossEntropyLoss": _loss("cross_entropy"),
    "torch.nn.NLLLoss": _loss("nll_loss"),
    "torch.nn.NLLLoss2d": _loss("nll_loss"),
    "torch.nn.KLDivLoss": _loss("kl_div"),
    "torch.nn.BCELoss": _loss("binary_cross_entropy"),
    "torch.nn.BCEWithLogitsLoss": _loss("binary_cross_entropy_with_logits"),
    "torch.nn.MultiLabelSoftMarginLoss": _loss("binary_cross_entropy_with_logits"),
    "functools.partial": _partial,
    **dict.fromkeys(WRAPPERS, _wrapped),
}

__all__ = ["CONTAINERS", "MADE", "WRAPPERS", "contained", "tensor", "wrapped"]
