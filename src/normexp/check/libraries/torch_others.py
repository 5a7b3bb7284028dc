"""What is built on PyTorch: model zoos, Lightning, ignite, accelerate."""

from __future__ import annotations

from typing import Final

from normexp.check.known import text
from normexp.check.libraries.call import Call, Effect
from normexp.check.values import Class, Kind, Library, Tensor, Tuple, Value

# What a zoo's models end in. Who wants other classes puts another layer there.
HEADS: Final = ("fc", "classifier", "head", "heads", "last_linear", "_fc", "output_layer")
_FASTAI: Final = ("vision.all", "text.all", "tabular.all", "basics", "learner", "basic_train", "vision")
_ZOOS: Final = (
    "torchvision.models.",
    "timm.create_model",
    "timm.models.",
    "efficientnet_pytorch.",
    "pretrainedmodels.",
)


def is_model(name: str) -> bool:
    """Tell whether a function or a class makes a model of a zoo."""
    return name.startswith(_ZOOS) and not name.rpartition(".")[2].endswith("_Weights")


def call_model(call: Call) -> Value:
    """Call a model of a zoo: what its last layer makes, if that was replaced."""
    made = call.made
    if made is None:
        return Tensor()
    for name in HEADS:
        if name in made.attributes:
            return call.apply(made.attributes[name], Tensor())
    if made.attributes or not made.name.startswith(_ZOOS[0]) or "segmentation" in made.name or "detection" in made.name:
        return Tensor()
    return Tensor(kind=Kind.LOGITS, trace=(made.place.step(made.name.rpartition(".")[2]),))


def _trainer(call: Call) -> Value:
    """ignite: create_supervised_trainer(model, optimizer, loss_fn) calls loss_fn(model(x), y)."""
    return _trained(call, call.get(0, "model"), call.get(2, "loss_fn"))


def _learner(call: Call) -> Value:
    """fastai: Learner(dls, model, loss_func=loss) calls loss(model(x), y)."""
    return _trained(call, call.get(1, "model"), call.get(2, "loss_func"))


def _network(call: Call) -> Value:
    """skorch: NeuralNet(module, criterion) makes both, if they are classes."""
    return _trained(call, _instance(call, call.get(0, "module")), _instance(call, call.get(1, "criterion")))


def _instance(call: Call, value: Value | None) -> Value | None:
    if isinstance(value, Library) and value.name.endswith(".NLLLoss"):
        return None  # of which skorch takes the logarithm itself
    return call.apply(value) if isinstance(value, Class | Library) else value


def _trained(call: Call, model: Value | None, loss: Value | None) -> Value:
    if model is not None and loss is not None:
        call.apply(loss, call.apply(model, Tensor()), Tensor())
    return Tensor()


def _model(call: Call) -> Value:
    """poutyne: Model(network, optimizer, loss_function), which may be the name of a function."""
    loss = call.get(2, "loss_function")
    name = text(loss)
    return _trained(call, call.get(0, "network"), loss if name is None else Library(f"torch.nn.functional.{name}"))


def _prepare(call: Call) -> Value:
    given = call.rest(1)
    return given[0] if len(given) == 1 else Tuple(given)


def _categorical(call: Call) -> Value:
    """Make a distribution: its logits are meant as those of a cross-entropy are."""
    call.report("cross_entropy", f"{call.name.rpartition('.')[2]}(logits=...)", Tensor(), input=call.get(1, "logits"))
    return Tensor()


FUNCTIONS: Final[dict[str, Effect]] = {
    "ignite.engine.create_supervised_trainer": _trainer,
    **{f"fastai.{module}.Learner": _learner for module in _FASTAI},
    "skorch.NeuralNet": _network,
    "skorch.NeuralNetClassifier": _network,
    "skorch.classifier.NeuralNetClassifier": _network,
    "poutyne.Model": _model,
    "poutyne.framework.Model": _model,
    "torch.distributions.Categorical": _categorical,
    "torch.distributions.OneHotCategorical": _categorical,
    "torch.distributions.categorical.Categorical": _categorical,
}
MADE: Final[dict[str, Effect]] = {}
METHODS: Final[dict[tuple[str, str], Effect]] = {
    ("accelerate.Accelerator", "prepare"): _prepare,
    ("lightning.fabric.Fabric", "setup"): _prepare,
}
