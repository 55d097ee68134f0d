"""What a client is made of: connections, the calls in flight on them, and who reads the replies."""
