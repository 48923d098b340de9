"""The cache of rendered texts."""

from django.db import models


class RenderedText(models.Model):
    """Safe HTML of one text, keyed by the renderer's version and the text's hash; always rebuildable."""

    key = models.CharField(max_length=64, primary_key=True)
    html = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.key[:12]
