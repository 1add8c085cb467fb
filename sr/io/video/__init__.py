"""Video files: frames in and out with their times and colors, and everything next to them kept."""
