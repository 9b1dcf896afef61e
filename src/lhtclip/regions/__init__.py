"""Regions of a label map: runs, connected components, contours, polygons, and run-length codes."""
