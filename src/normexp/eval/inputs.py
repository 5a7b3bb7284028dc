"""Logits and labels that belong together, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from normexp import _engine
from normexp._arrays import Array, is_float
from normexp.eval.stored import BadInputError, Stored

# Files that hold several arrays by name.
_ARCHIVES: Final = (".npz", ".safetensors")
# Bytes of logits in a block. What a call costs beside, some 50 us, shows below this: a pass over 6.4 GB takes 1.72 s
# with blocks of 1 MiB, 1.13 s with 4, 0.96 s with 16, 0.98 s with 64.
_BLOCK_BYTES: Final = 16 << 20
# Rows for a first guess are taken from so many places, evenly over the file, which may be in some order.
_PLACES: Final = 64


@dataclass(frozen=True)
class Inputs:
    """Logits, of shape (rows, classes), and a label for each row."""

    logits: Stored
    labels: Stored
    ignore_index: int | None

    @property
    def rows(self) -> int:
        """How many rows there are, ignored ones included."""
        return self.logits.shape[0]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.logits.shape[1]

    def blocks(self) -> Iterator[tuple[int, Array, Array]]:
        """Go through the file: each block's first row, its logits as the engine takes them, its labels, checked."""
        count = max(1, _BLOCK_BYTES // (self.classes * self.logits.dtype.itemsize))
        pairs = zip(self.logits.blocks(count), self.labels.blocks(count), strict=True)
        for block, (logits, labels) in enumerate(pairs):
            labels = np.ascontiguousarray(labels, labels.dtype.newbyteorder("="))
            bad, _, _ = _engine.count_labels(labels, self.classes, self.ignore_index, None)
            if bad >= 0:
                raise self._bad_label(block * count + bad, int(labels[bad]))
            yield block * count, _as_logits(logits), labels

    def sample(self, most_bytes: int) -> tuple[Array, Array]:
        """Take rows from all over the file, or its beginning if there is no other way; labels are not checked."""
        count = max(1, min(self.rows, most_bytes // (self.classes * self.logits.dtype.itemsize)))
        arrays = (self.logits, self.labels)
        if not all(array.in_any_order for array in arrays):
            heads = (next(iter(array.blocks(count))).copy() for array in arrays)
            logits, labels = heads
        else:
            places = min(_PLACES, count)
            starts = [place * self.rows // places for place in range(places)]
            logits, labels = (np.concatenate([a.rows(start, count // places) for start in starts]) for a in arrays)
        return _as_logits(logits), labels.astype(labels.dtype.newbyteorder("="))

    def bad_row(self, row: int, logits: Array) -> BadInputError:
        """Say what is wrong with a row that the engine has found to be no logits."""
        values = logits.astype(np.float64)
        at = f"{self.logits.name}: row {row} (counting from 0)"
        for what, found in (("NaN", np.isnan(values)), ("+inf", np.isposinf(values))):
            if found.any():
                return BadInputError(f"{at} has {what} at class {int(found.argmax())}; logits must be below +inf")
        return BadInputError(f"{at} has nothing but -inf; expected at least one class that is possible")

    def _bad_label(self, row: int, label: int) -> BadInputError:
        hint = "" if label >= 0 or self.ignore_index is not None else f" (--ignore-index {label} leaves such rows out)"
        return BadInputError(
            f"{self.labels.name}: row {row} (counting from 0) has label {label}; "
            f"expected 0 to {self.classes - 1}, for {self.logits.name} has {self.classes} classes{hint}"
        )


def open_inputs(logits_path: str, labels_path: str | None, ignore_index: int | None) -> Inputs:
    """Open both files and check all that can be told without reading them.

    Parameters
    ----------
    logits_path : str
        A .npy, .npz, .safetensors or .csv file.
    labels_path : str or None
        Likewise; None if the labels are in the same archive.
    ignore_index : int or None
        The label of rows that are left out.

    Returns
    -------
    Inputs
        Which fit one another.

    Raises
    ------
    BadInputError
        If they do not, or a file cannot be used.
    """
    if labels_path is None and Path(logits_path).suffix.lower() not in _ARCHIVES:
        raise BadInputError(f"LABELS is missing, and {logits_path} is no {' or '.join(_ARCHIVES)}, which may hold both")
    labels_path = logits_path if labels_path is None else labels_path
    together = Path(logits_path) == Path(labels_path)
    logits = _open(logits_path, "logits", np.dtype(np.float64), together)
    labels = _open(labels_path, "labels", np.dtype(np.int64), together)
    if len(logits.shape) != 2:
        raise BadInputError(f"{logits.name} has shape {logits.shape}; expected logits of shape (rows, classes)")
    if not is_float(logits.dtype) and logits.dtype.kind not in "iu":
        hint = "; .npy files do not keep bfloat16: use .safetensors" if logits.dtype.str[1:] == "V2" else ""
        raise BadInputError(
            f"{logits.name} has dtype {logits.dtype}; expected float16, bfloat16, float32, float64 or integers{hint}"
        )
    if 0 in logits.shape:
        raise BadInputError(f"{logits.name} is empty: its shape is {logits.shape}")
    if labels.dtype.kind not in "iu":
        raise BadInputError(f"{labels.name} has dtype {labels.dtype}; expected integers, a class index for each row")
    if labels.shape != logits.shape[:1]:
        raise BadInputError(
            f"{labels.name} has shape {labels.shape}; expected ({logits.shape[0]},), one label for each row of "
            f"{logits.name}, whose shape is {logits.shape}"
        )
    return Inputs(logits, labels, ignore_index)


def _open(path: str, wanted: str, csv_dtype: np.dtype[Any], together: bool) -> Stored:
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npy":
            from normexp.eval.npy import open_npy

            return open_npy(path)
        if suffix == ".npz":
            from normexp.eval.npy import npz_names, open_npz

            return open_npz(path, _choose(path, wanted, npz_names(path), together))
        if suffix == ".safetensors":
            from normexp.eval.tensors import open_tensor, tensor_names

            return open_tensor(path, _choose(path, wanted, tensor_names(path), together))
        if suffix == ".csv":
            from normexp.eval.table import Table

            return Table(path, csv_dtype)
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror or error}") from None
    raise BadInputError(f"{path}: expected a .npy, .npz, .safetensors or .csv file")


def _choose(path: str, wanted: str, names: list[str], together: bool) -> str:
    """Pick the array of the name wanted, or the only one, which cannot be logits and labels at once."""
    if wanted in names:
        return wanted
    if len(names) == 1 and not together:
        return names[0]
    found = f"the arrays {', '.join(sorted(names))}" if names else "no arrays"
    raise BadInputError(f'{path} holds {found}; expected one named "{wanted}"{"" if together else ", or a single one"}')


def _as_logits(block: Array) -> Array:
    if block.dtype.kind in "iu":
        return block.astype(np.float64)
    return block.astype(block.dtype.newbyteorder("="), copy=False)
