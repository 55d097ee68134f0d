"""Who waits: for locks on files, on futexes, in System V calls."""
