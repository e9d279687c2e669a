"""Man pages and completions, made from the parsers."""
