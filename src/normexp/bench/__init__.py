"""Time normexp beside its peers and beside what memory allows: ``normexp bench``.

`command` reads the arguments into a `plan`; `timing` takes the times, `cell` says what is timed, `peers` and `limits`
who takes part, `accuracy` how wrong each one is, `promises` whether normexp keeps its word; `report` holds what came
out, `terminal` says it. Importing this module imports none of what it needs: that comes when there is something to run.
"""

from normexp.bench.command import add_arguments as add_arguments
from normexp.bench.command import main as main
