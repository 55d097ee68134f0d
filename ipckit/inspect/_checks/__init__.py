"""The checks of `ipckit.inspect.checks`, by what they look at. Each is told where to look."""
