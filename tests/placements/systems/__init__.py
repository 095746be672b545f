"""Systems that the parity suite runs; a process that is to be of another release has its modules from elsewhere."""

import os
import sys

if "PARITY_RELEASES" in os.environ and "--process" in sys.argv:
    process = sys.argv[sys.argv.index("--process") + 1]
    for release in ("older", "newer"):
        if process in os.environ[f"PARITY_{release.upper()}"].split(","):
            __path__.insert(0, f"{os.environ['PARITY_RELEASES']}/{release}")
