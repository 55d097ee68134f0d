"""What rpcbind(8) and a port mapper of ours say to each other: programs and universal addresses."""
