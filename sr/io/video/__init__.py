"""Video files: frames in and out with their times and colours, and everything beside them kept."""
