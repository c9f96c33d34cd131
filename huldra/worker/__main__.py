"""`python -m huldra.worker FILE [LINE]`."""

import sys

from huldra.worker.node import main

if __name__ == "__main__":
    sys.exit(main())
