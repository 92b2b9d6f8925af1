"""The story of the quick start, told to the server at DXRAY_API_URL or http://localhost:8000.

The pipeline and the story live in `dxray.demo`, so that `dxray demo` can tell them too.
"""

import sys

from dxray.demo import main

if __name__ == "__main__":
    sys.exit(main())
