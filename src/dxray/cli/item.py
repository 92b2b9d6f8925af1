"""`dxray item ITEM`."""
