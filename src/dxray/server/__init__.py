"""The server: takes batches in, keeps them, and answers questions about them."""
