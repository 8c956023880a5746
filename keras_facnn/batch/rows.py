"""Rows of the output: the pictures, their classes and their maps."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from keras_facnn.runtime import Explainer

# What a row says of a picture whether it could be read or not.
_ALWAYS = {"path", "model", "error"}


class Rows:
    """Tables of one schema from what an `Explainer` says.

    Args:
        explainer: The `Explainer`.
        top: Number of the likeliest classes to list, K.
        maps: Number of these whose maps are written, N. 0 writes none.
        dtype: Type of the maps: `"float32"`, `"float16"` or `"int8"`.
    """

    def __init__(
        self, explainer: Explainer, top: int, maps: int, dtype: str
    ) -> None:
        self.explainer = explainer
        self.top = min(top, explainer.num_classes)
        self.maps = min(maps, self.top)
        self.dtype = dtype
        blank = np.zeros((1, *explainer.image_shape), "uint8")
        columns = explainer(blank, "all")
        # The sides of the maps, by the names of their columns.
        self.sides = {
            name: values.shape[1:3]
            for name, values in columns.items()
            if name == "maps" or name.startswith("layer_maps_")
        }
        self.schema = self._schema()

    def _schema(self) -> pa.Schema:
        def one_per_class(kind: Any) -> Any:
            return pa.list_(kind, self.top)

        fields = [
            pa.field("path", pa.string(), nullable=False),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("class", pa.int32()),
            ("name", pa.string()),
            ("probability", pa.float32()),
            ("logit", pa.float32()),
            ("top_classes", one_per_class(pa.int32())),
            ("top_probabilities", one_per_class(pa.float32())),
            ("top_logits", one_per_class(pa.float32())),
            ("border", pa.float32()),
            ("unsure", pa.bool_()),
        ]
        kind = pa.from_numpy_dtype(self.dtype)
        for name, (height, width) in self.sides.items() if self.maps else ():
            size = height * width
            fields.append((name, pa.list_(kind, self.maps * size)))
            fields.append((f"mean_{name}", pa.list_(kind, size)))
            if self.dtype == "int8":
                fields.append((f"{name}_step", pa.float32()))
        fields.append(pa.field("model", pa.string(), nullable=False))
        fields.append(("error", pa.string()))
        facts = json.dumps(self._facts()).encode("utf-8")
        return pa.schema(fields, metadata={"keras_facnn": facts})

    def _facts(self) -> dict[str, Any]:
        """Return what a reader of the file has to know of the model."""
        explainer = self.explainer
        return {
            "class_names": explainer.class_names,
            "image_shape": explainer.image_shape,
            "fit": explainer.fit,
            "scale": explainer.scale,
            "offset": explainer.offset,
            "centered": explainer.centered,
            "several_labels": explainer.several_labels,
            "num_classes": explainer.num_classes,
            "sides": {n: list(sides) for n, sides in self.sides.items()},
            "maps_per_picture": self.maps,
            "model": explainer.sha256,
        }

    def table(
        self,
        paths: Sequence[str],
        sizes: Sequence[tuple[int, int] | None],
        errors: Sequence[str | None],
        columns: dict[str, np.ndarray] | None,
    ) -> pa.Table:
        """Return the rows of a batch of pictures.

        Args:
            paths: The path of each picture.
            sizes: The height and width of each that could be read, else None.
            errors: Why each could not be read, else None.
            columns: What the explainer says of those that could be read, with
                maps of all classes. None if there are none.
        """
        read = np.array([error is None for error in errors])
        values = {} if columns is None else self._values(columns)
        values["height"], values["width"] = (
            np.array([size for size in sizes if size is not None], "int32")
            .reshape(-1, 2)
            .T
        )
        arrays = [
            _array(values.get(field.name), read, field.type)
            if field.name not in _ALWAYS
            else None
            for field in self.schema
        ]
        always = {
            "path": paths,
            "model": [self.explainer.sha256] * len(paths),
            "error": errors,
        }
        for name, texts in always.items():
            index = self.schema.get_field_index(name)
            arrays[index] = pa.array(texts, pa.string())
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _values(self, columns: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return the values of each column, of the pictures that were read."""
        logits, probabilities = columns["logits"], columns["probabilities"]
        order = np.argsort(-logits, axis=-1, kind="stable")[:, : self.top]
        names = self.explainer.class_names
        said = order[:, 0]
        values: dict[str, Any] = {
            "class": said,
            "name": None if names is None else [names[c] for c in said],
            "top_classes": order,
            "top_probabilities": np.take_along_axis(probabilities, order, -1),
            "top_logits": np.take_along_axis(logits, order, -1),
            "border": columns["border"],
            "unsure": columns["unsure"],
        }
        values["probability"] = values["top_probabilities"][:, 0]
        values["logit"] = values["top_logits"][:, 0]
        for name in self.sides if self.maps else ():
            values |= self._maps(name, columns[name], order[:, : self.maps])
        return values

    def _maps(
        self, name: str, maps: np.ndarray, classes: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the maps of some classes, and the mean of all classes."""
        mean = maps.mean(axis=-1).reshape(len(maps), -1)
        chosen = np.take_along_axis(maps, classes[:, None, None], axis=-1)
        chosen = chosen.transpose(0, 3, 1, 2).reshape(len(maps), -1)
        if self.dtype != "int8":
            return {
                name: chosen.astype(self.dtype),
                f"mean_{name}": mean.astype(self.dtype),
            }
        most = np.maximum(np.abs(chosen).max(-1), np.abs(mean).max(-1))
        step = np.where(most > 0, most / 127, 1).astype("float32")[:, None]
        return {
            name: np.rint(chosen / step).astype("int8"),
            f"mean_{name}": np.rint(mean / step).astype("int8"),
            f"{name}_step": step[:, 0],
        }


def _array(values: Any, read: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return a column, with null for each picture that could not be read."""
    if values is None or not read.any():
        return pa.nulls(len(read), kind)
    if isinstance(values, list):
        texts = iter(values)
        return pa.array([next(texts) if r else None for r in read], kind)
    values = np.asarray(values)
    whole = np.zeros((len(read), *values.shape[1:]), values.dtype)
    whole[read] = values
    if not pa.types.is_fixed_size_list(kind):
        return pa.array(whole, kind, mask=~read)
    flat = pa.array(whole.reshape(-1), kind.value_type)
    return pa.FixedSizeListArray.from_arrays(
        flat, kind.list_size, mask=pa.array(~read)
    )
