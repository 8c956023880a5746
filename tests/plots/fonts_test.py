import numpy as np
import pytest
from matplotlib import font_manager

from keras_facnn import plots
from keras_facnn.plots import fonts

pytestmark = pytest.mark.only_on("torch")


def test_uses_an_installed_font_that_has_the_characters(images, monkeypatch):
    """STIX has a double-struck A, which the default font lacks."""
    letter = "\U0001d538"
    default = font_manager.findfont(font_manager.FontProperties())
    known = {
        str(default): frozenset("abcdefghijklmnopqrstuvwxyz 0123456789"),
        str(font_manager.findfont("STIXGeneral")): frozenset(letter),
    }
    monkeypatch.setattr(
        fonts, "characters", lambda path: known.get(str(path), frozenset())
    )
    figure = plots.maps_by_layer(
        images[0], {"layer 1": np.ones((4, 4))}, letter
    )
    title = figure.axes[0].title
    assert title.get_text() == letter
    assert "STIXGeneral" in title.get_fontfamily()
    with pytest.warns(UserWarning, match="No installed font has all"):
        figure = plots.maps_by_layer(
            images[0], {"layer 1": np.ones((4, 4))}, "a\u8336"
        )
    assert figure.axes[0].get_title() == "a\u25a1"
