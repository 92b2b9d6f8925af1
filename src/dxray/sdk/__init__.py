"""What runs inside a pipeline: records runs, steps and items, and ships them in the background."""
