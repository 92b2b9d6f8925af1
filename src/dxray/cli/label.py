"""`dxray label RUN LABEL`."""
