"""Tests of ``normexp explain``."""
