import io

import numpy as np
import pytest
from PIL import Image


def png(size=(8, 8), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


def test_answers_what_the_explainer_answers(client, explainer, pictures):
    expected = explainer(pictures)
    for i, picture in enumerate(pictures):
        answer = client.post("/explain", content=picture)
        assert answer.status_code == 200
        values = answer.json()
        assert values["class"] == expected["class"][i]
        assert values["name"] == expected["name"][i]
        assert values["unsure"] == expected["unsure"][i]
        for name in ("probability", "border"):
            assert values[name] == pytest.approx(expected[name][i], abs=1e-6)
        np.testing.assert_allclose(
            values["map"], expected["maps"][i], atol=1e-5
        )


@pytest.mark.parametrize("class_", ["fish", "2"])
def test_explains_the_class_that_is_asked_for(
    client, explainer, pictures, class_
):
    expected = explainer(pictures[1], "fish")
    answer = client.post(f"/explain?class={class_}", content=pictures[1])
    assert answer.json()["name"] == "fish"
    np.testing.assert_allclose(
        answer.json()["map"], expected["maps"][0], atol=1e-5
    )


def test_takes_a_form(client, pictures):
    plain = client.post("/explain?class=dog", content=pictures[0]).json()
    form = client.post(
        "/explain",
        files={"file": ("../../x.png", pictures[0], "image/png")},
        data={"class": "dog"},
    )
    assert form.json() == plain


@pytest.mark.parametrize(
    "how", [{"params": {"format": "png"}}, {"headers": {"Accept": "image/png"}}]
)
def test_draws_the_map(client, explainer, pictures, how):
    answer = client.post("/explain", content=pictures[2], **how)
    assert answer.headers["content-type"] == "image/png"
    expected = explainer(pictures[2])
    drawn = explainer.overlay(pictures[2], expected["maps"][0])
    assert answer.content == drawn


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"no picture", "no known format"),
        (png()[:45], "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "read"),
        (b'{"a": 1}', "no known format"),
        # Pillow decodes what is inside before it tells the size.
        (b"\0\0\1\0\1\0", "Icons are not read"),
        (b"icns", "Icons are not read"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_says_what_is_wrong_with_a_picture(client, body, says):
    answer = client.post("/explain", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("class=bird", "class names: cat, dog, fish"),
        ("class=3", "0 to 2"),
        ("class=all", "one class"),
        ("class=-1", "cat, dog, fish"),
        ("class=" + "9" * 5000, "number of a class"),
        ("format=gif", "json or png"),
    ],
)
def test_says_what_is_wrong_with_the_query(client, query, says):
    answer = client.post(f"/explain?{query}", content=png())
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "form",
    [
        {
            "content": b"--x\r\nbroken",
            "type": "multipart/form-data; boundary=x",
        },
        {"content": b"", "type": "multipart/form-data"},
        {
            "content": b"--x\r\nContent-Disposition: form-data; "
            b'name="a"\r\n\r\ntext\r\n--x--\r\n',
            "type": "multipart/form-data; boundary=x",
        },
    ],
)
def test_refuses_forms_without_a_file(client, form):
    answer = client.post(
        "/explain",
        content=form["content"],
        headers={"Content-Type": form["type"]},
    )
    assert answer.status_code == 400
    assert "form" in answer.json()["error"]


def test_refuses_two_files(client):
    files = [("file", ("a.png", png())), ("file", ("b.png", png()))]
    assert client.post("/explain", files=files).status_code == 400


def test_refuses_pictures_by_their_header(connect):
    # One color, so that the file is small, and would take long to decode.
    bomb = png((3000, 2000), "1")
    assert len(bomb) < 10_000
    answer = connect(max_pixels=5_000_000).post("/explain", content=bomb)
    assert answer.status_code == 413
    assert "5000000 pixels, not 6000000" in answer.json()["error"]
    # More than the package ever reads.
    answer = connect().post("/explain", content=png((10_000, 7_000), "1"))
    assert answer.status_code == 400
    assert "more than 67 million" in answer.json()["error"]
