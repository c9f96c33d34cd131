"""`python -m huldra`: the command line."""

from __future__ import annotations

import sys

from huldra.cli import main

sys.exit(main())
