"""Encode arrays as files and read them back. This package knows neither models nor results."""
