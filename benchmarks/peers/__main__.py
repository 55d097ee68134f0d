"""``python -m benchmarks.peers``; ``make bench-peers`` sets all up for it."""

if __name__ == "__main__":
    import sys

    # Not above: the measuring processes import this module.
    from benchmarks.peers.command import main

    sys.exit(main())
