"""Video files, streams and frames read, each frame with its time and its faults."""
