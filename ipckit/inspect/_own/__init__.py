"""ipckit's own objects, read from copies of their segments, and the files beside them."""
