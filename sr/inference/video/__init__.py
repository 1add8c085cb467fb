"""Videos: frame by frame through the network, in order and in bounded memory."""
