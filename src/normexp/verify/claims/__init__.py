"""The article's claims about softmax, each tried by computing; the verdicts follow from the numbers."""

from typing import Final

from normexp.verify.claims import _loss, _stability, _values
from normexp.verify.claims._trial import Claim as Claim
from normexp.verify.claims._trial import Evidence as Evidence
from normexp.verify.claims._trial import Result as Result
from normexp.verify.claims._trial import Verdict as Verdict

CLAIMS: Final = (
    Claim("A1", "values lie in (0, 1) and sum to 1", _values.probabilities),
    Claim("A2", "naive NumPy code and PyTorch's Softmax(dim=0) agree", _values.naive_agrees),
    Claim("A3", "exponentials polarize: wider inputs give more extreme outputs", _values.polarizes),
    Claim("A4", "positive inputs tend to 1, negative inputs to 0, the more so the larger they are", _values.signs),
    Claim(
        "A5", "exp(max x) approaches the sum as inputs spread: softmax(max) -> 1, softmax(min) -> 0", _values.spreads
    ),
    Claim("B1", "naive code overflows to NaN", _stability.naive_overflows),
    Claim("B2", "naive code underflows: as x -> -inf its denominator approaches 0", _stability.naive_underflows),
    Claim("B3", "the shift by max x changes nothing in exact arithmetic", _stability.shift_invariance),
    Claim("B4", "the shifted form cannot overflow, and its denominator is never 0", _stability.shifted_is_safe),
    Claim("B5", "the shifted form can still underflow to 0", _stability.shifted_underflows),
    Claim(
        "C1", "log_softmax, x - max x - log(sum), has neither overflow nor underflow", _stability.log_softmax_is_safe
    ),
    Claim("D1", "CrossEntropyLoss contains the softmax: the network must not end in one", _loss.softmax_twice),
    Claim("D2", "CrossEntropyLoss equals NLLLoss after LogSoftmax", _loss.cross_entropy_is_nll),
)
