"""A script as a user might write it. `types_test.py` runs mypy on it.

The lines marked `mistake` have a mistake, and no other lines have one.
"""

import keras_facnn
from keras_facnn import attribution
from keras_facnn import metrics
from keras_facnn import plots

# --- A preset explains photographs ---
model = keras_facnn.FACNN.from_preset("clothing")
images = keras_facnn.load_images(["dress.jpg", "pants.jpg"], model)
explanation = model.explain(images, layers=[2])
print([explanation.name_of(c) for c in explanation.classes])
plots.explanation(explanation).savefig("why.png")
labels = model.predict(images, verbose=0).argmax(-1)
logits, maps = model.predict_with_maps(images)
maps = model.class_maps(images, "dress", centered=True)

model.explane(images)  # mistake 1: the name of a method
model.explain(images, centred=True)  # mistake 2: the name of an argument
print(explanation.probabilites)  # mistake 3: the name of an attribute
logits, maps, why = model.predict_with_maps(images)  # mistake 4: 2 values
model.class_maps(images, batch_size="16")  # mistake 5: text for a number
keras_facnn.load_images("a.jpg", fit="crops")  # mistake 6: a choice

# --- Maps of several methods are compared ---
maps = attribution.grad_cam(model, images, labels, layer="fa_4")
metrics.deletion(model, images, labels, maps)
curve = metrics.pixel_removal(
    model, images, labels, maps, order="least_relevant_first"
)
print(curve.accuracy_auc)
plots.pixel_removal({"Grad-CAM": curve})

attribution.gradcam(model, images, layer=4)  # mistake 7: a function's name
metrics.pixel_removal(
    model,
    images,
    labels,
    maps,
    order="most_relevant",  # mistake 8: a choice
)
print(curve.auc)  # mistake 9: the name of an attribute

# --- A model is trained on a folder of photographs, and saved ---
train, held_out = keras_facnn.load_folder("photos", image_size=32).split(0.2)
model = keras_facnn.FACNN(
    len(train.names), depths=(2, 2), maps_per_class=(4, 8)
)
model.compile("adam", metrics=["accuracy"])
model.fit(train.images, train.labels, epochs=2, verbose=0)
model.summary()
model.save_to_preset("mine", train.metadata, weights_dtype="float16")

held_out.splits(0.5)  # mistake 10: the name of a method
keras_facnn.FACNN(10, depths="8, 8")  # mistake 11: text for numbers
keras_facnn.FACNN(10, padding="edges")  # mistake 12: a choice
model.save_to_preset("mine", weights_dtype="float8")  # mistake 13: a choice
