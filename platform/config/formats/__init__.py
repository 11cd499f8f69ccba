"""How dates, times and numbers stand on pages, by language."""
