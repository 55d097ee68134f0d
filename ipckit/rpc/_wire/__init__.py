"""What goes over the wire: calls, replies and the records that they are on a stream."""
