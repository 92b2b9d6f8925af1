"""`dxray why-rank RUN ITEM OVER`."""
