"""Before each test, one thread for PyTorch; after it, PyTorch's operators are its own again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _pytorch_as_it_was() -> Iterator[None]:
    """These tensors are small; more threads would only spin."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    import normexp.torch

    normexp.torch.disable()
