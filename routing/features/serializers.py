"""What the API says and takes of features: texts that are read, taggings, and tags."""

from __future__ import annotations

from rest_framework import serializers

from annotations.lm.prompts import MAX_INSTRUCTIONS
from app.web.api import Body, IdField, Resource, TextField, WholeNumberField


class FeaturesResource(Resource):
    """What is known of the items before anybody judges."""

    items = serializers.IntegerField(help_text="Items whose texts and prompts can be read.")
    texts_read = serializers.IntegerField(help_text="Of these, as far as the last job to the end counted.")
    tagging = serializers.CharField(
        allow_null=True,
        help_text="Id of the tagging that plans read: the one started last, once it said anything.",
    )

    class Meta:
        ref_name = "Features"


class TaggingResource(Resource):
    """A model asked for tags of the prompts, in one version of the words."""

    id = serializers.CharField(source="pk")
    annotator = serializers.CharField(
        source="annotator.lm.pk", help_text="Id of the LM annotator whose model tags."
    )
    name = serializers.CharField(source="annotator.name")
    instructions = serializers.CharField(source="prompt.instructions")
    prompt_hash = serializers.CharField()
    tagged = serializers.IntegerField(help_text="Prompts whose reply could be read.")
    unread = serializers.IntegerField(help_text="Prompts whose reply could not.")
    left = serializers.IntegerField(help_text="Prompts that it says nothing of yet.")
    job = serializers.UUIDField(source="job_id", allow_null=True)
    started_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Tagging"


class NewTagging(Body):
    """A model to tag the prompts that have no tags in these words yet."""

    annotator = IdField(help_text="Id of an LM annotator whose model can be asked.")
    instructions = TextField(
        max_length=MAX_INSTRUCTIONS, required=False, allow_blank=True,
        help_text="Stand before the dimensions and the answer's format; without them, the words used last.",
    )  # fmt: skip
    limit = WholeNumberField(min_value=1, required=False, allow_null=True, help_text="Prompts at most.")
    cap = serializers.DecimalField(
        max_digits=12, decimal_places=6, min_value=0, required=False, allow_null=True,
        help_text="Money it may spend at most, beside the project's own cap.",
    )  # fmt: skip


class ItemTagsResource(Resource):
    """What a tagging says of one item's prompt."""

    item = serializers.CharField(source="item_id")
    values = serializers.DictField(help_text="By dimension, a word or a list of words; empty where unread.")
    mode = serializers.CharField(help_text="strict, repaired; empty where unread.")
    problem = serializers.CharField()

    class Meta:
        ref_name = "ItemTags"
