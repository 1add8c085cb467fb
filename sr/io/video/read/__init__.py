"""Read video files, streams and frames, each frame with its time and its faults."""
