import numpy as np
import pytest
from PIL import Image

from keras_facnn import FACNN
from keras_facnn import metrics
from tests.zoo.conftest import run

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def preset(small_model, tmp_path):
    small_model.save_to_preset(
        tmp_path / "preset", {"class_names": ["a", "b", "c", "d"]}
    )
    return tmp_path / "preset"


@pytest.fixture
def photos(tmp_path, rng):
    """Six images as they are in files, in the order of the folder."""
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    for i, image in enumerate(images):
        folder = tmp_path / "photos" / "test" / "abcd"[i // 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    return images[np.linspace(0, 7, 6).astype(int)]


def numbers(cell):
    return [float(word.strip("(),")) for word in cell.split() if word != "to"]


def test_the_table_says_what_the_metrics_measure(preset, photos, tmp_path):
    result = run(
        "sanity",
        preset=preset,
        data=tmp_path / "photos",
        images=6,
        shufflings=2,
    )
    assert result.returncode == 0, result.output
    rows = {
        cells[0]: cells[1:]
        for cells in (
            line.strip("| ").split(" | ")
            for line in result.output.splitlines()
            if line.startswith("| ")
        )
    }
    model = FACNN.from_preset(preset)
    for name, centered in (("raw", False), ("centered", True)):
        similarity, of_similarity, other, rise, of_rise = map(
            numbers, rows[name]
        )
        for metric, found, range_, options in (
            (
                metrics.cascading_randomization,
                similarity,
                of_similarity,
                {"layers": "all"},
            ),
            (metrics.efficient_randomization, rise, of_rise, {}),
        ):
            values = [
                np.ravel(
                    metric(
                        model,
                        photos,
                        FACNN.class_maps,
                        centered=centered,
                        seed=seed,
                        **options,
                    )
                )
                for seed in (0, 1)
            ]
            means = sorted(map(np.mean, values))
            assert range_ == pytest.approx(means, abs=0.006)
            assert found[0] == pytest.approx(np.mean(values), abs=0.006)
            assert found[1] <= found[0] <= found[2]
        # No map is compared with itself.
        assert other[0] < 0.99


def test_a_baseline_has_no_class_maps(tmp_path):
    result = run("sanity", preset="model.keras", data=tmp_path)
    assert result.returncode == 1
    assert "--preset must be no baseline" in result.output
