"""Patches, batches, optimisers and the training loop."""
