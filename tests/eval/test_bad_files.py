"""What cannot be used is refused: one line that says what and where, exit code 2, nothing written."""

from __future__ import annotations

import struct
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file


def save(logits, labels):
    np.save("x.npy", logits)
    np.save("t.npy", labels)


ZEROS, ONES = np.zeros((30, 4), np.float32), np.ones(30, np.int64)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (ZEROS[0], ONES, "x.npy has shape (4,); expected logits of shape (rows, classes)"),
        (ZEROS[None], ONES, "x.npy has shape (1, 30, 4); expected logits"),
        (ZEROS, ONES[:29], "t.npy has shape (29,); expected (30,), one label for each row of x.npy"),
        (ZEROS, ONES[:, None], "t.npy has shape (30, 1); expected (30,)"),
        (ZEROS, ONES.astype(float), "t.npy has dtype float64; expected integers"),
        (ZEROS, ONES.astype(bool), "t.npy has dtype bool; expected integers"),
        (ZEROS.astype(complex), ONES, "x.npy has dtype complex128; expected float16, bfloat16, float32, float64"),
        (ZEROS.astype(bool), ONES, "x.npy has dtype bool; expected"),
        (ZEROS.astype(np.longdouble), ONES, "x.npy has dtype float128; expected"),
        (ZEROS.astype("S4"), ONES, "x.npy has dtype |S4; expected"),
        (ZEROS.astype(ml_dtypes.bfloat16), ONES, ".npy files do not keep bfloat16: use .safetensors"),
        (ZEROS[:0], ONES[:0], "x.npy is empty: its shape is (0, 4)"),
        (ZEROS[:, :0], ONES, "x.npy is empty: its shape is (30, 0)"),
        (ZEROS.astype(object), ONES, "x.npy cannot be read as .npy"),
    ],
)
def test_shapes_and_dtypes(refused, logits, labels, message):
    save(logits, labels)
    assert message in refused("x.npy", "t.npy")


@pytest.mark.parametrize("block_bytes", [1, 50, 4 << 20])
@pytest.mark.parametrize("row", [0, 15, 16, 29])
@pytest.mark.parametrize("label", [4, -1, -100, 2**40, -(2**63)])
def test_labels_out_of_range(refused, monkeypatch, row, label, block_bytes):
    monkeypatch.setattr("normexp.eval.inputs._BLOCK_BYTES", block_bytes)
    labels = ONES.copy()
    labels[row] = label
    labels[row + 1 :] = 7
    save(ZEROS, labels)
    message = refused("x.npy", "t.npy")
    assert f"t.npy: row {row} (counting from 0) has label {label}; expected 0 to 3" in message
    assert ("--ignore-index" in message) == (label < 0)
    labels[row + 1 :] = 5
    labels[0 if row else 1] = 5
    save(ZEROS, labels)
    assert "has label" in refused("x.npy", "t.npy", "--ignore-index", 5)


def test_unsigned_labels_beyond_int64(refused):
    save(ZEROS, np.full(30, 2**64 - 1, np.uint64))
    assert f"row 0 (counting from 0) has label {2**64 - 1}" in refused("x.npy", "t.npy")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [4, 40, 2100])
@pytest.mark.parametrize("row", [0, 15, 16, 29])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_no_logits(refused, dtype, classes, row, bad):
    logits = np.zeros((30, classes), dtype)
    logits[row, classes - 2] = bad
    logits[row + 1 :] = np.nan
    save(logits, ONES)
    where = f"x.npy: row {row} (counting from 0) has {'+inf' if bad > 0 else 'NaN'} at class {classes - 2}"
    assert where in refused("x.npy", "t.npy")
    logits[row] = -np.inf
    save(logits, ONES)
    assert f"x.npy: row {row} (counting from 0) has nothing but -inf" in refused("x.npy", "t.npy")


@pytest.mark.parametrize("where", [0, 1, 5])
def test_nan_at_the_label_on_top_or_anywhere(refused, where):
    logits = np.arange(20 * 6.0).reshape(20, 6)
    logits[3, where] = np.nan
    save(logits, np.ones(20, int))
    assert "row 3" in refused("x.npy", "t.npy")


def test_all_rows_ignored(refused):
    save(ZEROS, ONES)
    assert refused("x.npy", "t.npy", "--ignore-index", 1) == "t.npy: all 30 rows are to be ignored; nothing is left"


def test_files_that_are_not_there(refused, tmp_path):
    save(ZEROS, ONES)
    assert refused("x.npy", "no.npy") == "cannot read no.npy: No such file or directory"
    assert refused("no.csv", "t.npy") == "cannot read no.csv: No such file or directory"
    assert refused("no.npz", "t.npy") == "cannot read no.npz: No such file or directory"
    assert "no.safetensors" in refused("no.safetensors", "t.npy")
    (tmp_path / "folder.npy").mkdir()
    assert refused("folder.npy", "t.npy") == "cannot read folder.npy: Is a directory"
    assert refused("x.npy", ".") == ".: expected a .npy, .npz, .safetensors or .csv file"
    assert refused("x.npy", "t.txt") == "t.txt: expected a .npy, .npz, .safetensors or .csv file"
    assert "LABELS is missing, and x.npy is no .npz or .safetensors" in refused("x.npy")


@pytest.mark.parametrize("name", ["x.npy", "both.npz", "both.safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 6, 60, 300, -1])
def test_files_cut_off(refused, name, kept):
    save(ZEROS, ONES)
    np.savez("both.npz", logits=ZEROS, labels=ONES)
    save_file({"logits": ZEROS, "labels": ONES}, "both.safetensors")
    with open(name, "rb") as file:
        content = file.read()
    with open(name, "wb") as file:
        file.write(content[:kept])
    message = refused(name, *(["t.npy"] if name == "x.npy" else []))
    assert message.startswith(f"{name} cannot be read as {name[name.index('.') :]}: ")


def test_an_archive_with_a_flipped_bit(refused, tmp_path):
    np.savez("both.npz", logits=ZEROS, labels=ONES)
    content = bytearray((tmp_path / "both.npz").read_bytes())
    content[content.index(b"labels.npy") - 200] ^= 1
    (tmp_path / "both.npz").write_bytes(content)
    assert "both.npz[logits] cannot be read: Bad CRC-32" in refused("both.npz")


def test_an_array_shorter_than_its_header_says(refused, tmp_path):
    np.savez("both.npz", logits=ZEROS, labels=ONES)
    with zipfile.ZipFile("both.npz") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("both.npz", "w") as archive:
        archive.writestr("logits.npy", parts["logits.npy"][:-100])
        archive.writestr("labels.npy", parts["labels.npy"])
    assert refused("both.npz") == "both.npz[logits] is cut off: it ends before the last of its 30 rows"


def test_names_in_archives(refused):
    np.savez("both.npz", logits=ZEROS, targets=ONES)
    assert refused("both.npz") == 'both.npz holds the arrays logits, targets; expected one named "labels"'
    np.savez("two.npz", a=ZEROS, b=ONES)
    assert (
        refused("two.npz", "both.npz") == 'two.npz holds the arrays a, b; expected one named "logits", or a single one'
    )
    np.savez("none.npz")
    assert "none.npz holds no arrays" in refused("none.npz", "both.npz")
    save_file({"x": ZEROS}, "x.safetensors")
    assert 'x.safetensors holds the arrays x; expected one named "logits"' in refused("x.safetensors")


def test_arrays_by_column_in_an_archive(refused):
    np.savez("both.npz", logits=np.asfortranarray(ZEROS), labels=ONES)
    assert "lies column by column; save numpy.ascontiguousarray of it" in refused("both.npz")


def test_objects_in_an_archive(refused):
    np.savez("both.npz", logits=ZEROS.astype(object), labels=ONES)
    assert "both.npz[logits] has dtype object" in refused("both.npz")


def test_an_archive_that_calls_itself_npy(refused, tmp_path):
    np.savez("x.npz", ZEROS)
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    np.save("t.npy", ONES)
    assert refused("x.npy", "t.npy") == "x.npy cannot be read as .npy: it is an .npz archive"


def test_tensors_of_other_types(refused):
    header = b'{"logits": {"dtype": "F8_E4M3", "shape": [3, 2], "data_offsets": [0, 6]}}'
    with open("x.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + bytes(6))
    np.save("t.npy", ONES)
    assert "x.safetensors[logits] has dtype F8_E4M3; expected one of F64" in refused("x.safetensors", "t.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,4\n5,six\n", "row 2 (counting from 0) is '5,six'; expected 2 numbers separated by commas"),
        ("a,b\n1,2\n3,4\n5\n", "row 2 (counting from 0) is '5'; expected 2 numbers"),
        ("1,2\n3,4\n5,6,7\n", "row 2 (counting from 0) is '5,6,7'"),
        ("1,x\n3,4\n5,6\n", "row 0 (counting from 0) is '1,x'"),
        ("1,2\n3,nan\n5,6\n", "row 1 (counting from 0) has NaN at class 1"),
        ("1,2\n3,4\n5,\n", "row 2 (counting from 0) is '5,'"),
        ("1,2\n3,4\n", "expected (2,), one label for each row"),
        ("\n\n", "x.csv is empty"),
        ("", "x.csv is empty"),
    ],
)
def test_tables(refused, text, message):
    with open("x.csv", "w") as file:
        file.write(text)
    np.save("t.npy", np.zeros(3, int))
    assert message in refused("x.csv", "t.npy")


@pytest.mark.parametrize("label", ["1.0", "1.5", "one", "1e3", "99999999999999999999"])
def test_labels_in_tables_are_integers(refused, label):
    with open("t.csv", "w") as file:
        file.write(f"label\n0\n1\n{label}\n")
    np.save("x.npy", np.zeros((3, 2)))
    assert f"t.csv: row 2 (counting from 0) is '{label}'; expected one integer" in refused("x.npy", "t.csv")


def test_tables_that_are_no_text(refused):
    with open("x.csv", "wb") as file:
        file.write(b"1,2\n\xff\xfe,3\n")
    np.save("t.npy", ONES)
    assert "x.csv cannot be read as CSV: 'utf-8' codec" in refused("x.csv", "t.npy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ignore-index", "x"], "--ignore-index must be an integer, not 'x'"),
        (["--ignore-index", str(2**63)], f"--ignore-index must fit 64 bits, not '{2**63}'"),
        (["--plot", "x.jpg"], "--plot 'x.jpg' must end in .png or .svg"),
        (["--plot", "no/x.png"], "cannot write --plot 'no/x.png': No such file or directory"),
    ],
)
def test_arguments(refused, arguments, message):
    save(ZEROS, ONES)
    assert refused("x.npy", "t.npy", *arguments) == message


def test_an_unwritable_file_is_found_before_the_work(refused, monkeypatch):
    save(ZEROS, ONES)
    monkeypatch.setattr("normexp.eval.run.run", lambda *_: pytest.fail("the work began"))
    assert (
        refused("x.npy", "t.npy", "--json", "no/x.json") == "cannot write --json 'no/x.json': No such file or directory"
    )


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("rich", ["x.npy", "t.npy"]),
        ("safetensors", ["x.safetensors"]),
        ("matplotlib", ["x.npy", "t.npy", "--plot", "x.png"]),
    ],
)
def test_a_package_it_needs_is_named(refused, monkeypatch, package, arguments):
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(*arguments) == f'needs {package}: pip install "normexp[eval]"'


def test_bfloat16_needs_ml_dtypes(refused, monkeypatch):
    save_file({"logits": ZEROS.astype(ml_dtypes.bfloat16), "labels": ONES}, "x.safetensors")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert 'is bfloat16, which needs ml_dtypes: pip install "normexp[eval]"' in refused("x.safetensors")
