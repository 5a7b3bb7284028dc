"""The plugin of pytest: ``pytest --normexp-guard``, or ``normexp_guard = true`` in its configuration.

Each test runs under guard and fails if there is a finding; the mark ``normexp_unguarded`` leaves a test out. pytest
imports this wherever normexp is installed. So it lies outside the package, whose import brings NumPy.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the entry of the configuration."""
    text = "fail tests whose losses are given the wrong thing, or are 0, infinite or NaN without need"
    parser.getgroup("normexp").addoption("--normexp-guard", action="store_true", default=False, help=text)
    parser.addini("normexp_guard", text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and the hook if it is wanted."""
    config.addinivalue_line("markers", "normexp_unguarded: not to be watched by --normexp-guard")
    if config.getoption("--normexp-guard") or config.getini("normexp_guard"):
        if importlib.util.find_spec("torch") is None:
            raise pytest.UsageError('--normexp-guard needs torch: pip install "normexp[torch]"')
        config.pluginmanager.register(_Guarded(), "normexp-guarded")


class _Guarded:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test; if it passed and there is a finding, it fails."""
        if item.get_closest_marker("normexp_unguarded") is not None:
            return (yield)
        from normexp.torch import guard

        with guard(tell=lambda finding: None) as watched:
            result = yield
        counted = [finding for finding in watched.findings if finding.kind.severity != "info"]
        if counted:
            pytest.fail("\n".join(f"normexp guard: {finding}" for finding in counted), pytrace=False)
        return result
