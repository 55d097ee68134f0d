"""What a server is made of: connections, the threads or the event loop that serve them, and the answers."""
