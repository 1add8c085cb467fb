"""Motion between frames: optical flow, scene cuts, and the windows of frames that networks see."""
