"""The final file: the encoded video beside the streams that its source has."""
