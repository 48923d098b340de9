"""Designs as files: every preset goes out and comes back equal, and a wrong file says where it is wrong."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from annotations.projects import designs, presets, schemas, setup
from annotations.projects.models import TaskSchema
from annotations.projects.schemas import Definition

WHICH = {"kind": "comparison", "name": "overall", "label": "Which?"}


@pytest.mark.django_db
@pytest.mark.parametrize("key", presets.PRESETS)
def test_a_preset_becomes_a_project_goes_out_and_comes_back_equal(alice, key):
    project = setup.create_project(name=key, owner=alice, definition=presets.PRESETS[key])
    stored, definition = schemas.load(project.schema_id)
    text = designs.to_json(definition, "https://example.org/schema.json")
    again = designs.parse(text)
    assert again.model_dump() == definition.model_dump()
    assert schemas.add_schema(project=project, definition=again.model_dump(mode="json")) == stored
    assert TaskSchema.objects.filter(project=project).count() == 1
    # What a preset says itself is all in the file, whatever the defaults add.
    assert json.loads(text).items() >= {"title": presets.PRESETS[key]["title"]}.items()
    Draft202012Validator(designs.json_schema()).validate(json.loads(text))


def test_the_published_schema_is_valid_and_refuses_what_the_check_refuses():
    schema = designs.json_schema("https://example.org/schemas/task-design-1.json")
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert schema["$id"] == "https://example.org/schemas/task-design-1.json"
    for wrong in (
        {}, {"questions": []}, {"questions": [{**WHICH, "scale_max": 5}]}, {"questions": [{**WHICH, "x": 1}]},
        {"questions": [{**WHICH, "name": "Überall"}]}, {"questions": [WHICH], "layout": "diagonal"},
    ):  # fmt: skip
        assert not validator.is_valid(wrong)
        with pytest.raises(designs.DesignError):
            designs.check(wrong)
    assert validator.is_valid({"questions": [WHICH]})


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["Line 1, column 1: Expecting value."]),
        ("[1]", ["Expected a JSON object with a list of questions."]),
        ("[" * 99999, ["The JSON is nested too deeply, or holds a number that is too long."]),
        ('{"questions": [' + "1" * 5000 + "]}", ["The JSON is nested too deeply, or holds a number that is too long."]),
        (" " * 200_001, ["200,001 characters; a design has at most 200,000."]),
        ({"questions": [{**WHICH, "name": "skip"}]}, ["questions.0.name: the name 'skip' is taken; choose another one"]),
        (
            {"questions": [{**WHICH, "scale_max": 4, "ties": ["equal", "equal_good", "equal_bad"]}]},
            ["questions.0.ties: 11 answers in a row, and keys 1 to 9: take away 2 ties, or ask a strength less"],
        ),
        (
            {"questions": [WHICH], "skip": [{"value": f"r{i}", "label": "R"} for i in range(10)]},
            ["skip: 10 reasons, and keys 1 to 9: take some away"],
        ),
        (
            {"questions": [{"kind": "rating", "name": "reason", "label": "R", "min": 0, "max": 4}]},
            ["questions.0.name: the name 'reason' is kept for the text question"],
        ),
        (
            {"questions": [{"kind": "rating", "name": "year", "label": "R", "min": 9990, "max": 10_010}]},
            ["questions.0.max: expected values from -9999 to 9999"],
        ),
        ({"questions": [WHICH], "colour": "red"}, ["colour: there is no such field"]),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where_it_is_wrong(text, lines):
    with pytest.raises(designs.DesignError) as refused:
        designs.parse(text if isinstance(text, str) else json.dumps(text))
    assert refused.value.lines == lines


@pytest.mark.django_db
def test_what_a_file_brings_may_share_keys_but_no_design_may(project):
    crowded = {"questions": [{**WHICH, "scale_max": 4, "ties": ["equal", "equal_good", "equal_bad"]}]}
    schemas.add_schema(project=project, definition=crowded, origin=TaskSchema.Origin.IMPORTED)
    with pytest.raises(ValueError, match="11 answers in a row"):
        schemas.add_schema(project=project, definition=crowded)
    assert Definition.model_validate(crowded)
    assert TaskSchema.objects.filter(project=project).count() == 2
