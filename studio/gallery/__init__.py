"""The clips of a dataset's folder: listed, heard, recorded, imported, moved, and never deleted."""
