"""``python -m normexp`` is the command ``normexp``."""

import sys

from normexp.cli import main

sys.exit(main())
