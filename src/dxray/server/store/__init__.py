"""One seam, one module per engine. The store knows insert, select, count-by and delete; it knows no question."""
