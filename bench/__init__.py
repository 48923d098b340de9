"""Measurements of the product: the annotator's loop, import and export. See README.md here."""
