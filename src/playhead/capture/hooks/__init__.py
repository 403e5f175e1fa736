"""What the child loads: the Python site hook and the Node preload, each without dependencies."""
