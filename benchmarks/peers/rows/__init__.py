"""The rows, one module for each peer; ``ipckit_*`` are those of ipckit that the installed suite does not have."""
