"""The classifier's last layer, one a file; the file's name is its `type`."""
