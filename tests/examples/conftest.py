"""The examples are programs whose files import each other by name: their folders are put on the path."""

import sys
from pathlib import Path

for folder in ("bank", "classics"):
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / folder))
