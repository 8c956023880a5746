import pytest

from tests.zoo.conftest import run
from zoo import settings
from zoo.inputs import load_recipe

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def imagenet100():
    return load_recipe("imagenet100")


def of_stages(recipe, read):
    return {stage.name: read(stage) for stage in recipe.stages}


def test_reads_values_as_python_does():
    text = "a=1, b.c=(2, 3),d=[4,(5,)],e=None,f=True,g=0.5,h=edge,i='x,y'"
    with pytest.raises(ValueError, match="KEY=VALUE"):
        settings.parse(text)
    text = text.removesuffix(",i='x,y'")
    assert settings.parse(text) == [
        ("a", 1),
        ("b.c", (2, 3)),
        ("d", (4, (5,))),
        ("e", None),
        ("f", True),
        ("g", 0.5),
        ("h", "edge"),
    ]


@pytest.mark.parametrize(
    "text", [r"freeze_backbone=block_\(1,epochs=3", "about.license=x),epochs=3"]
)
def test_a_bracket_hides_no_other_setting(text):
    with pytest.raises(ValueError, match="as many closing brackets as opening"):
        settings.parse(text)


def test_what_is_no_literal_is_text():
    assert settings.parse("epochs={[1]:2}") == [("epochs", "{[1]:2}")]


def test_a_key_changes_every_stage_that_has_it(imagenet100):
    changed = settings.apply(
        imagenet100, ["epochs=1,crop.smallest=0.5", "model.padding=edge"]
    )
    assert set(of_stages(changed, lambda s: s.epochs).values()) == {1}
    assert of_stages(changed, lambda s: s.crop and s.crop.smallest) == {
        "lite0_head": 0.5,
        "lite0": 0.5,
        "crops": 0.5,
        "shifts": None,
        "taught": None,
    }
    padding = of_stages(changed, lambda s: getattr(s.model, "padding", None))
    assert padding == {
        "lite0_head": None,
        "lite0": None,
        **dict.fromkeys(["crops", "shifts", "taught"], "edge"),
    }
    # The rest is as it was.
    back = ["crop.smallest=0.4,crops.crop.smallest=0.3,model.padding=zeros"]
    for stage in imagenet100.stages:
        back.append(f"{stage.name}.epochs={stage.epochs}")
    assert settings.apply(changed, back) == imagenet100


def test_behind_a_stages_name_a_key_changes_that_stage(imagenet100):
    changed = settings.apply(imagenet100, ["shifts.epochs=3"])
    epochs = of_stages(changed, lambda stage: stage.epochs)
    before = of_stages(imagenet100, lambda stage: stage.epochs)
    assert epochs == {**before, "shifts": 3}


def test_what_depends_on_another_is_changed_with_it(imagenet100):
    """Neither change is right without the other."""
    changed = settings.apply(imagenet100, ["crops.pad=4", "crops.crop=None"])
    assert (changed.stage("crops").pad, changed.stage("crops").crop) == (
        4,
        None,
    )


def test_keys_of_the_recipe(imagenet100):
    changed = settings.apply(
        imagenet100, ["validation_split=test,about.license=None stated."]
    )
    assert changed.validation_split == "test"
    assert changed.about.license == "None stated."
    assert changed.stages == imagenet100.stages


def test_a_baseline_goes_without_what_only_an_facnn_has(imagenet100):
    (stage,) = settings.apply(
        imagenet100.replace(stages=(imagenet100.stage("crops"),)),
        ["baseline=resnet,model.stochastic_depth=0"],
    ).stages
    assert stage.kind == "resnet"
    assert stage.evidence_penalty == 0
    assert stage.model.deep_alignment == stage.model.stochastic_depth == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ("epochs", "`--set` must be KEY=VALUE.* Received: --set epochs"),
        ("=3", "`--set` must be KEY=VALUE"),
        ("epochs=1,", "`--set` must be KEY=VALUE"),
        (
            "epoch=3",
            "knows no `epoch`. Did you mean epochs.* Received: --set epoch=3",
        ),
        ("model.depth=3", "no `model.depth`. Did you mean depths"),
        ("shift.epochs=3", "no `shift.epochs`. Did you mean shifts"),
        ("shifts.epoch=3", "no `shifts.epoch`. Did you mean epochs"),
        ("shifts=3", "knows no `shifts`."),
        ("name=mine", "knows no `name`."),
        ("stages=1", "knows no `stages`."),
        ("epochs.x=1", "knows no `epochs.x`."),
        ("shifts.crop.smallest=0.5", "No stage .* `crop.smallest` to set"),
        ("crops.teacher.weight=1", "No stage .* `teacher.weight` to set"),
        ("crop=None,crop.smallest=0.5", "must give crop or crop.smallest"),
        ("epochs=0.5", "`epochs` .* an integer of at least 1.*epochs=0.5"),
        ("learning_rate=fast", "`learning_rate` .* finite .*='fast'"),
        ("crops.model.depths=(2)", "`depths` of Model must be a tuple.*=2"),
        ("any_classes=maybe", "`any_classes` of Recipe must be True or False"),
        ("crops.baseline=vgg", "`baseline` .* 'resnet' or 'plain', or None"),
        ("crops.baseline=plain,crops.model.alpha=0.2", "only for an FA-CNN"),
        ("baseline=plain", "`baseline` needs a model without a `backbone`"),
    ],
)
def test_refuses_what_it_does_not_know(imagenet100, change, message):
    with pytest.raises(ValueError, match=message):
        settings.apply(imagenet100, [change])


def test_a_bad_change_takes_one_line(folder, tmp_path):
    result = run(
        "train",
        recipe="smoke",
        data=folder,
        workdir=tmp_path / "run",
        set="learning_rte=0.1",
    )
    assert result.returncode == 1
    (line,) = result.output.splitlines()
    assert "knows no `learning_rte`. Did you mean learning_rate" in line
    assert not (tmp_path / "run").exists()
