"""`python -m dxray` is the command `dxray`."""

import sys

from dxray.cli import main

if __name__ == "__main__":
    sys.exit(main())
