"""`dxray diff A B`."""
