"""A door: in a checkout, `from sdk import XRay` is `dxray.XRay`. The house is src/dxray/sdk/."""

from dxray import XRay as XRay
