"""JSON, and a file of it that is written wholly or not at all."""

from __future__ import annotations

import json
import math
from typing import Any

from normexp._whole_file import WholeFile


class JsonFile(WholeFile):
    """A `WholeFile` that is given a document."""

    def write(self, document: dict[str, Any]) -> None:
        """Write the document, as `as_text` gives it."""
        self.write_bytes(as_text(document).encode())


def as_text(document: dict[str, Any]) -> str:
    """Return a document as JSON; numbers that JSON does not know become the strings "nan", "inf" and "-inf"."""
    return json.dumps(_portable(document), indent=2, allow_nan=False) + "\n"


def _portable(value: Any) -> Any:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, dict):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
