"""The table of `keras.applications` says what `from_classifier` does."""

import os

import keras
import pytest

from tests.zoo.conftest import ROOT
from zoo import applications

pytestmark = pytest.mark.only_on("torch")

TABLE = {
    line.split("`")[1]: line
    for line in (ROOT / "docs" / "how_to" / "classifiers.md")
    .read_text("utf-8")
    .splitlines()
    if line.startswith("| `") and line.split("`")[1][0].isupper()
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
    assert applications.row(name) == TABLE[name]
