"""From a data set folder to a plan."""
