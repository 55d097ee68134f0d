"""Where the kernel's limits and their use are found."""
