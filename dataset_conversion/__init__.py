"""Writes data sets in nnU-Net's raw format."""

from dataset_conversion.writer import DatasetWriter

__all__ = ["DatasetWriter"]
