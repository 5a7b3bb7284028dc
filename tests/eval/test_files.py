"""Every kind of file gives the same figures."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import textbook
from safetensors.numpy import save_file

LOGITS, LABELS = textbook.made(np.random.default_rng(0), "noise", 203, 17)


def save_csv(name, rows, header=None, encoding="utf-8"):
    lines = ["" if header is None else header]
    lines += [",".join(repr(float(value)) for value in row) for row in rows]
    with open(name, "w", encoding=encoding) as file:
        file.write("\n".join(lines if header is not None else lines[1:]) + "\n")


def npy():
    np.save("x.npy", LOGITS)
    np.save("t.npy", LABELS)
    return "x.npy", "t.npy"


def npy_by_column():
    np.save("x.npy", np.asfortranarray(LOGITS))
    np.save("t.npy", LABELS)
    assert np.load("x.npy").flags.f_contiguous
    return "x.npy", "t.npy"


def npy_version_2():
    with open("x.npy", "wb") as file:
        np.lib.format.write_array(file, LOGITS, (2, 0))
    np.save("t.npy", LABELS)
    return "x.npy", "t.npy"


def npz():
    np.savez("both.npz", logits=LOGITS, labels=LABELS, names=np.array(["a", "b"]))
    return "both.npz", "both.npz"


def npz_compressed():
    np.savez_compressed("both.npz", logits=LOGITS, labels=LABELS)
    return ("both.npz",)


def npz_of_one():
    np.savez("x.npz", LOGITS)
    np.savez("t.npz", anything=LABELS)
    return "x.npz", "t.npz"


def safetensors():
    save_file({"logits": LOGITS, "labels": LABELS, "other": np.zeros(3)}, "both.safetensors")
    return ("both.safetensors",)


def safetensors_unaligned():
    """The header's length is anything, and so is where the arrays begin."""
    header = {
        "labels": {"dtype": "I64", "shape": [203], "data_offsets": [0, 1624]},
        "logits": {"dtype": "F32", "shape": [203, 17], "data_offsets": [1624, 1624 + LOGITS.nbytes]},
    }
    text = json.dumps(header).encode()
    text += b" " * (5 - len(text) % 4)
    assert (8 + len(text)) % 4 == 1
    with open("both.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + LABELS.astype("<i8").tobytes() + LOGITS.tobytes())
    return ("both.safetensors",)


def csv():
    save_csv("x.csv", LOGITS)
    with open("t.csv", "w") as file:
        file.write("\n".join(map(str, LABELS)))
    return "x.csv", "t.csv"


def csv_with_header():
    save_csv("x.csv", LOGITS, ",".join(f'"class {i}"' for i in range(17)), "utf-8-sig")
    with open("t.csv", "w") as file:
        file.write("label\r\n\r\n" + "\r\n".join(map(str, LABELS)) + "\r\n\r\n")
    return "x.csv", "t.csv"


def mixed():
    with open("X.NPY", "wb") as file:
        np.save(file, LOGITS)
    save_file({"t": LABELS.astype(np.int16)}, "t.safetensors")
    return "X.NPY", "t.safetensors"


KINDS = [
    npy,
    npy_by_column,
    npy_version_2,
    npz,
    npz_compressed,
    npz_of_one,
    safetensors,
    safetensors_unaligned,
    csv,
    csv_with_header,
    mixed,
]


@pytest.mark.parametrize("block_bytes", [5_000, 4 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_same_figures(evaluate, kind, block_bytes, monkeypatch):
    monkeypatch.setattr("normexp.eval.inputs._BLOCK_BYTES", block_bytes)
    got, printed = evaluate(*kind())
    for key, value in textbook.figures(LOGITS, LABELS).items():
        assert got[key] == pytest.approx(value, rel=1e-5), key
    assert got["temperature"] == pytest.approx(textbook.best_temperature(LOGITS, LABELS), rel=1e-4)
    assert f"{got['logits']['name']}: 203 x 17 " in printed
    assert f"{got['labels']['name']}: 203 " in printed
