"""`keras.Model`, with the types that Keras does not ship."""

import keras

KerasModel = keras.Model
