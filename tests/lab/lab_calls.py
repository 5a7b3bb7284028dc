"""Calling the page's own functions: numbers go there and come back as their 64 bits, so that none is changed."""

from __future__ import annotations

import base64

import numpy as np

# `each` is called with the format and one number after the other.
_NUMBERS = """([format, data, each]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const F = lab.FORMATS[format];
    const call = eval(each);
    const results = Float64Array.from(new Float64Array(bytes.buffer), (v) => call(F, v));
    let text = "";
    for (const byte of new Uint8Array(results.buffer)) text += String.fromCharCode(byte);
    return btoa(text);
}"""
_TEXTS = """([format, data, each]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const F = lab.FORMATS[format];
    const call = eval(each);
    return Array.from(new Float64Array(bytes.buffer), (v) => call(F, v)).join(" ");
}"""
# Stages as {route: {stage: numbers}}; sums and losses are lists of one. `errors` are the ULP beside them.
_ROUTES = """([format, x, T, t]) => {
    const F = lab.FORMATS[format];
    const row = x.map((v) => lab.round(F, v));
    return lab.routes(F, row, lab.round(F, T), t);
}"""


def _packed(values):
    return base64.b64encode(np.asarray(values, np.float64).tobytes()).decode()


def numbers(lab, format, values, each):
    """Call a function of the page, (F, v) => number, with each value."""
    return np.frombuffer(base64.b64decode(lab.evaluate(_NUMBERS, [format, _packed(values), each])), np.float64)


def texts(lab, format, values, each):
    """Call a function of the page, (F, v) => text without spaces, with each value."""
    return lab.evaluate(_TEXTS, [format, _packed(values), each]).split(" ")


def routes(lab, format, x, T, t):
    """Return the three routes of a row; the exact values, which are no float64 numbers, stay in the page."""
    js = _ROUTES.replace("return lab.routes(", "const { naive, shifted, fused } = lab.routes(")
    js = js.rstrip("}") + " return { naive, shifted, fused }; }"
    found = lab.evaluate(js, [format, [float(v) for v in x], float(T), t])
    return {
        name: {stage: np.atleast_1d(np.array(v, np.float64)) for stage, v in r.items()} for name, r in found.items()
    }
