"""Files that programs write: label maps and probability maps, read with all their faults named."""
