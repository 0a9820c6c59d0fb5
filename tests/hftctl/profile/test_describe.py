"""What documentation and editors are told about profiles is what the loader accepts."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from hftctl import paths
from hftctl.errors import NotFound
from hftctl.profile import describe
from hftctl.profile.complaints import valid_keys


def test_every_key_has_a_description() -> None:
    assert [row.key for row in describe.rows() if not row.description] == []
    assert {row.key.replace("[]", "") for row in describe.rows()} == {"extends", *valid_keys()}


def test_every_bounded_number_tells_its_range() -> None:
    assert [
        row.key for row in describe.rows() if "number" in row.type and "list" not in row.type and not row.range
    ] == []


def test_one_key_is_told_with_what_is_below_it() -> None:
    assert [row.key for row in describe.rows("ports")] == [
        "ports", "ports.http", "ports.binary", "ports.postgres", "ports.redis",
    ]  # fmt: skip
    assert [row.key for row in describe.rows("partitions.ranges")] == ["partitions[].ranges"]


def test_an_unknown_key_is_not_found() -> None:
    with pytest.raises(NotFound, match="no key of a profile is named 'colour'"):
        describe.rows("colour")


@pytest.mark.parametrize("file", ["local.yaml", "local-partitions.yaml", "environments/production.yaml"])
def test_the_json_schema_takes_the_shipped_files_and_refuses_unknown_keys(file: str) -> None:
    content = yaml.safe_load((paths.package_folder("profiles") / file).read_text())
    schema = describe.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate({**content, "colour": "red"}, schema)
