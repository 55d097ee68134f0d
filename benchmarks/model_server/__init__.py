"""A model server's broadcast: one scheduler, many workers, each message to all of them; workers die and are replaced.

``python -m benchmarks.model_server`` runs it twice, over `ipckit.ring.BroadcastRing` and over a plain ring on
`multiprocessing.shared_memory` that spins, and prints both beside each other.
"""
