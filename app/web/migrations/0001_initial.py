"""The cache of rendered texts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RenderedText",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("html", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
        ),
    ]
