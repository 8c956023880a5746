"""The table of `keras.applications` says what `from_classifier` does."""

import os
import re

import keras
import pytest

from tests.zoo.conftest import ROOT
from zoo import applications

pytestmark = pytest.mark.only_on("torch")

# The answers of each model in the table. A row may name several.
TABLE = {
    name: answers
    for names, answers in re.findall(
        r"^\| ((?:`[A-Z]\w+`(?:, )?)+) (\|.*)$",
        (ROOT / "docs" / "how_to" / "classifiers.md").read_text("utf-8"),
        re.MULTILINE,
    )
    for name in re.findall(r"\w+", names)
}
# The others take minutes and up to 3 GB.
QUICK = ("DenseNet121", "EfficientNetB0", "MobileNetV2", "MobileNetV3Small")
ALL = [name for name in applications.names() if "NASNet" not in name]


def test_the_table_has_all_models():
    assert sorted(TABLE) == sorted(applications.names())


@pytest.mark.parametrize(
    "name", ALL if os.environ.get("KERAS_FACNN_ALL_MODELS") else QUICK
)
def test_rows_are_what_the_command_prints(name):
    keras.backend.clear_session()
    assert applications.row(name) == f"| `{name}` {TABLE[name]}"
