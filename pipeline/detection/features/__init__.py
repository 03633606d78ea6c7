"""Sources of features that join those of the images, one a file; the file's name is its `type`."""
