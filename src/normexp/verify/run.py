"""The run: each part of the proof computed, shown, and gathered for the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import normexp
from normexp._console import console
from normexp._json_file import JsonFile
from normexp._whole_file import WholeFile
from normexp.verify import claims, conformance, contract, curves, digits, peers, report
from normexp.verify.cases import FAMILIES, Family
from normexp.verify.claims import Verdict
from normexp.verify.page import page as make_page
from normexp.verify.stages import stage

# Ten minutes on two cores at most, with everybody.
_FULL_DRAWS: Final = 5


def run(
    file: JsonFile | None,
    page: WholeFile | None = None,
    *,
    full: bool = False,
    families: Sequence[Family] = FAMILIES,
) -> bool:
    """Run everything; return whether normexp passes.

    Parameters
    ----------
    file : JsonFile, optional
        Entered already; the results are written to it at the end.
    page : WholeFile, optional
        Likewise, the page.
    full : bool
        Whether to draw each family's inputs `_FULL_DRAWS` times, and to try the peers that compile.
    families : sequence of Family
        The inputs of the conformance table.
    """
    to = console()
    ours = peers.ours()
    others, missing = peers.installed(full)
    everyone = [ours, *others]
    config = normexp.show_config()
    report.opening(to, everyone, missing, ", ".join(f"{k} {config[k]}" for k in ("level", "threads", "machine")))

    report.heading(to, "The article's claims, each computed by normexp, by PyTorch and exactly")
    torch = peers.by_name(others, "PyTorch")
    judged = []
    for one in stage("claims", claims.CLAIMS, len(claims.CLAIMS)):
        judged.append(one.judge(ours, torch))
    for result in judged:
        report.claim(to, result)

    report.heading(to, "Conformance: the largest error of each implementation on hard inputs")
    draws = _FULL_DRAWS if full else 1
    cells = list(stage("conformance cells", conformance.cells(everyone, families, draws), conformance.count(families)))
    report.conformance(to, cells)
    specials = [contract.check(special, ours, others) for special in contract.SPECIALS]
    report.specials(to, specials)

    (case,) = [digits.run(everyone) for _ in stage("digits", [None], 1)]
    report.digits(to, case)

    failures = [f"{one.id}: {text}" for one in judged for text in one.failures]
    failures += [f"{c.function}, {c.dtype}, {c.family}: {c.ours.where}" for c in cells if not c.passed]
    failures += [one.failure for one in specials if not one.passed]
    failures += [] if case.passed else [f"digits: {case.scores[ours.name].worst}"]

    if file is not None or page is not None:
        drawn = stage("lengths", curves.curves(everyone), curves.COUNT)  # the terminal does not show them
        document: dict[str, Any] = {
            "normexp": ours.version,
            "config": dict(config),
            "peers": {peer.name: peer.version for peer in others},
            "missing": missing,
            "claims": [one.document() for one in judged],
            "conformance": [cell.document() for cell in cells],
            "special_values": [one.document() for one in specials],
            "curves": [curve.document() for curve in drawn],
            "digits": case.document(),
            "failures": failures,
            "passed": not failures,
        }
        if file is not None:
            file.write(document)
        if page is not None:
            page.write_bytes(make_page(document).encode())
    verdicts = Counter(one.verdict for one in judged)
    counted = ", ".join(f"{verdicts[v]} {v.replace('holds', 'hold')}" for v in Verdict if verdicts[v])
    worst = ", ".join(f"{dtype} {ulp:.2f}" for dtype, ulp in conformance.worst_by_dtype(cells).items())
    summary = (
        f"{len(judged)} claims ({counted}), {len(cells)} conformance cells, {len(specials)} special rows, "
        f"worst error in ULP: {worst}: {'FAIL' if failures else 'PASS'}"
    )
    report.closing(to, summary, failures)
    return not failures
