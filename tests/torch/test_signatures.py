"""The public names, and the signatures of torch.nn.functional to the letter."""

from __future__ import annotations

import inspect

import pytest
from support import python

pytest.importorskip("torch")
import torch

import normexp.torch as nxt

FUNCTIONS = ("softmax", "log_softmax", "softmin", "nll_loss", "cross_entropy")
MODULES = ("Softmax", "LogSoftmax", "Softmin", "NLLLoss", "CrossEntropyLoss")
OTHERS = ("logsumexp", "row_stats", "enable", "disable", "accelerated", "patch_transformers", "unpatch_transformers")
LINEAR = ("linear_cross_entropy", "LinearCrossEntropyLoss")  # PyTorch 2.13's, with options of ours at the end


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(one, name)) for one in (nxt, torch.nn.functional))

    def shape(signature: inspect.Signature) -> list[tuple[str, object, object]]:
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert shape(ours) == shape(theirs)


@pytest.mark.parametrize("name", LINEAR)
def test_signatures_of_linear_cross_entropy(name: str) -> None:
    home = torch.nn.functional if name in dir(torch.nn.functional) else torch.nn
    if not hasattr(home, name):
        pytest.skip("PyTorch before 2.13 has no linear_cross_entropy")
    ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (nxt, home))
    shared, added = dict(list(ours.items())[: len(theirs)]), list(ours)[len(theirs) :]
    assert [(p.name, p.kind, p.default) for p in shared.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
    assert added == ["temperature", "softcap", "z_loss", "memory_budget"]


def test_logsumexp_is_called_as_torch_has_it() -> None:
    """A builtin, whose signature is in its documentation alone."""
    x = torch.linspace(0, 1, 24).reshape(2, 3, 4)
    for args, options in (((1,), {}), (((0, 2), True), {}), ((), {"dim": -1}), (([1, 2],), {"keepdim": True})):
        torch.testing.assert_close(nxt.logsumexp(x, *args, **options), torch.logsumexp(x, *args, **options))
    torch.testing.assert_close(nxt.logsumexp(input=x, dim=0), torch.logsumexp(input=x, dim=0))


@pytest.mark.parametrize("name", [*FUNCTIONS, *MODULES, *LINEAR, *OTHERS])
def test_public_names_are_documented(name: str) -> None:
    assert name in nxt.__all__
    assert ">>>" in (inspect.getdoc(getattr(nxt, name)) or "")


def test_the_axis_that_is_not_given() -> None:
    """PyTorch guesses it and warns; so do we."""
    for name in ("softmax", "log_softmax", "softmin"):
        for x in (torch.randn(4), torch.randn(3, 4), torch.randn(2, 3, 4)):
            with pytest.warns(UserWarning, match="Implicit dimension choice"):
                want = getattr(torch.nn.functional, name)(x)
            with pytest.warns(UserWarning, match="Implicit dimension choice") as caught:
                got = getattr(nxt, name)(x)
            torch.testing.assert_close(got, want)
            assert caught[0].filename == __file__, "the warning points at the caller"


def test_normexp_does_not_import_torch() -> None:
    script = "import sys, normexp; print('torch' in sys.modules)"
    assert python("-c", script).stdout.strip() == "False"


def test_without_torch_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None; import normexp.torch"
    found = python("-c", script)
    assert found.returncode != 0
    last = found.stderr.strip().splitlines()[-1]
    assert "Error" in last
    assert "normexp[torch]" in last


def test_importing_the_front_changes_nothing() -> None:
    """PyTorch's own operators stay PyTorch's until `enable` is called."""
    script = (
        "import torch\n"
        "before = [torch._C._dispatch_dump(name) for name in sorted(torch._C._dispatch_get_all_op_names())]\n"
        "import normexp.torch\n"
        "names = [name for name in sorted(torch._C._dispatch_get_all_op_names()) if not name.startswith('normexp::')]\n"
        "print(before == [torch._C._dispatch_dump(name) for name in names])\n"
    )
    found = python("-c", script)
    assert found.stdout.strip() == "True", found.stderr
