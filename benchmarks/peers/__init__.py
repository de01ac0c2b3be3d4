"""What else moves items between processes: one file a peer, each as its users write it."""
