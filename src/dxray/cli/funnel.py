"""`dxray funnel RUN`."""
