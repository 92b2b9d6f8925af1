"""`dxray blame`."""
