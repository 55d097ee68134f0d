"""Unix sockets, as the kernel lists them."""
