"""What questions share: pure functions over Arrow tables and plain rows."""
