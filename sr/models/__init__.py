"""Model files of any origin: read, recognised, told about and converted."""
