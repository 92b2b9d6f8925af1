"""One module per question. Each reads through a store's handle and returns data plus one plain sentence."""
