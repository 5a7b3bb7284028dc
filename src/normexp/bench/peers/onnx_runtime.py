"""ONNX Runtime, which is inference: no gradients."""

from __future__ import annotations

from normexp.bench.cell import AXIS, Cell, Contender, MissingError
from normexp.bench.peers.contenders import fresh, imported, into


def onnx_runtime(cell: Cell) -> list[Contender]:
    """Return a model of one node, run as most people do and with IO binding."""
    runtime = imported("onnxruntime")
    models = imported("normexp._onnx_model")
    if cell.op not in models.OPERATORS:
        raise MissingError(f"has no operator for {cell.op}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = cell.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a model it cannot run is an exception here, not also a line on the terminal
    model = models.model(cell.op, cell.x.dtype.name, axis=AXIS)
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": cell.x} if cell.target is None else {"x": cell.x, "target": cell.target}
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_output("y", "cpu", 0, cell.out.dtype.type, cell.out.shape, cell.out.ctypes.data)
    return [
        fresh(cell, "ONNX Runtime", lambda: session.run(None, feed)[0]),
        into(cell, "ONNX Runtime", lambda: session.run_with_iobinding(binding), way="IO binding"),
    ]
