"""What a mount needs that an NFS server serves to other machines (``-o export``)."""
