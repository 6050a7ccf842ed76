"""One file per command: arguments become one call of the pipeline."""
