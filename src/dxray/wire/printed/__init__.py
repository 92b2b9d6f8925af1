"""How answers look as text: lines of spans, for a terminal, a file or a notebook."""
