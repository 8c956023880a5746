import pytest

from keras_facnn import plots

pytestmark = pytest.mark.only_on("torch")


def test_titles_are_the_class_and_the_layers(images, rng):
    maps = {layer: rng.uniform(size=(4, 4)) for layer in (1, 12, 24)}
    figure = plots.maps_by_layer(images[0], maps, "ant")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["ant", "layer 1", "layer 12", "layer 24"]
