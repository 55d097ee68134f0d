"""ipckit beside its peers: rows for the engine of `ipckit bench`, the parts of a run, and what was promised of it."""
