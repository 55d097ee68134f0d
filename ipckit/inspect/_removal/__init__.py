"""How objects are removed: only the one that was looked at."""
