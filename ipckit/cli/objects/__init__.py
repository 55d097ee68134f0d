"""What the commands about IPC objects share: which are meant, and how a record is put into words."""
