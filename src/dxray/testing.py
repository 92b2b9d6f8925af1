"""The door to `dxray.sdk.testing`: a capture fixture for tests of code that records."""

from dxray.sdk.testing import Capture, Recorded, capture

__all__ = ["Capture", "Recorded", "capture"]
