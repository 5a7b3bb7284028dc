"""Keras, TensorFlow, JAX, optax and flax: what their losses take, and what reaches them."""

from __future__ import annotations

from textwrap import dedent

import pytest

from normexp.check.analysis import analyse
from normexp.check.finding import Finding
from normexp.check.source import parse

KERAS = """
import keras
import tensorflow as tf
from keras import Input, Model, Sequential, layers, losses, ops
from keras import backend as K
from keras.layers import Activation, Conv2D, Dense, Dropout, Flatten
"""
TENSORFLOW = """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.float32, [None, 10])
"""
JAX = """
import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from flax.training import train_state
import tensorflow_probability as tfp
"""


def names(code: str, head: str) -> list[str]:
    parsed, notes = parse((head + dedent(code)).encode(), "x.py")
    assert parsed is not None, notes
    found = [one for one in analyse([parsed]) if isinstance(one, Finding)]
    return sorted(one.name for one in found if one.severity != "info")


KERAS_WRONG = {
    "softmax then from_logits": """
        m = Sequential([Dense(8, activation="relu"), Dense(3, activation="softmax")])
        m.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
        """,
    "an activation that is a function": """
        m = Sequential([Dense(3, activation=tf.nn.softmax)])
        m.compile(loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True))
        """,
    "an activation that is Keras' function": """
        m = Sequential([Dense(3, activation=keras.activations.softmax)])
        m.compile(loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True))
        """,
    "positional": """
        m = Sequential([Dense(3, "softmax")])
        m.compile("adam", tf.losses.SparseCategoricalCrossentropy(True))
        """,
    "a loss in a variable, after fit": """
        loss = losses.CategoricalCrossentropy(from_logits=True)
        m = Sequential()
        m.add(Dense(3))
        m.add(layers.Softmax())
        m.compile(
            optimizer="adam",
            loss=loss,
        )
        """,
    "functional": """
        i = Input((8,))
        h = Dense(8, activation="relu")(i)
        m = Model(inputs=i, outputs=Dense(3, activation="softmax")(h))
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "a list of losses": """
        i = Input((8,))
        m = Model(i, [Dense(3, activation="softmax")(i), Dense(1)(i)])
        m.compile(loss=[losses.CategoricalCrossentropy(from_logits=True), "mse"])
        """,
    "a dict of losses": """
        i = Input((8,))
        m = Model(i, [Dense(3, activation="softmax", name="a")(i), Dense(3, name="b")(i)])
        m.compile(loss={"b": "mse", "a": losses.CategoricalCrossentropy(from_logits=True)})
        """,
    "a dict of outputs": """
        i = Input((8,))
        m = Model(i, {"a": Dense(3, activation="softmax")(i), "b": Dense(3)(i)})
        m.compile(loss={"b": "mse", "a": losses.CategoricalCrossentropy(from_logits=True)})
        """,
    "a subclass": """
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = Dense(3)

            def call(self, x, training=False):
                return tf.nn.softmax(self.dense(x))

        net = Net()
        net.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
        """,
    "a subclass of Sequential": """
        class Net(Sequential):
            def __init__(self):
                super().__init__()
                self.add(Dense(3, activation="softmax"))
                self.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))

        Net()
        """,
    "a layer built late": """
        class Head(layers.Layer):
            def build(self, shape):
                self.dense = Dense(3, activation="softmax")

            def call(self, x):
                return self.dense(x)

        m = Sequential([Head()])
        m.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
        """,
    "a custom training step": """
        class Net(keras.Model):
            def compile(self, optimizer, loss_fn):
                super().compile(optimizer=optimizer)
                self.loss_fn = loss_fn

            def call(self, x):
                return Dense(3, activation="softmax")(x)

            def train_step(self, data):
                x, y = data
                return self.loss_fn(y, self(x, training=True))

        net = Net()
        net.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
        net.train_step((1, 2))
        """,
    "a loss by a lambda": """
        m = Sequential([Dense(3, activation="softmax")])
        m.compile(loss=lambda y, p: tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=p))
        """,
    "TensorFlow's loss itself": """
        m = Sequential([Dense(3, activation="softmax")])
        m.compile(loss=tf.nn.softmax_cross_entropy_with_logits)
        """,
    "labels and predictions by name": """
        m = Sequential([Dense(3, activation="softmax")])
        losses.CategoricalCrossentropy(from_logits=True)(y_pred=m(x), y_true=y)
        """,
    "wrapped, pooled, dropped": """
        m = Sequential([Conv2D(3, 1, activation="softmax"), layers.GlobalAveragePooling2D()])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "time distributed": """
        m = Sequential([layers.TimeDistributed(Dense(3, activation="softmax"))])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "an application": """
        m = keras.applications.ResNet50(weights=None, classes=10)
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "an application by its module": """
        from tensorflow.keras.applications.vgg16 import VGG16
        m = Sequential([VGG16()])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "predicted": "tf.nn.softmax_cross_entropy_with_logits(y, Sequential([Dense(3, activation='softmax')]).predict(x))",
    "everything imported": """
        from tensorflow.keras import *

        m = models.Sequential([layers.Dense(3, activation="softmax")])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "cloned": """
        m = keras.models.clone_model(Sequential([Dense(3, activation="softmax")]))
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "the backend": "K.categorical_crossentropy(y, K.softmax(x), True)",
    "built by a function": """
        def build(n):
            m = Sequential()
            for _ in range(3):
                m.add(Dense(8, activation="relu"))
            m.add(Dense(n, activation="softmax"))
            return m

        model = build(4)
        model.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
}
KERAS_MISSING = {
    "by its name": 'Sequential([Dense(3)]).compile(loss="categorical_crossentropy")',
    "by the name of its class": 'Sequential([Dense(3)]).compile(loss="SparseCategoricalCrossentropy")',
    "linear": 'Sequential([Dense(3, activation="linear")]).compile(loss="sparse_categorical_crossentropy")',
    "no activation": "Sequential([Dense(3, activation=None)]).compile(loss=losses.CategoricalCrossentropy())",
    "told so": "Sequential([Dense(3)]).compile(loss=losses.CategoricalCrossentropy(from_logits=False))",
    "a function": "Sequential([Dense(3)]).compile(loss=losses.sparse_categorical_crossentropy)",
    "in between": """
        m = Sequential([Conv2D(3, 1), layers.BatchNormalization(), layers.GlobalAveragePooling2D(), Dropout(0.5)])
        m.compile(loss="categorical_crossentropy")
        """,
    "flat": 'Sequential([Conv2D(3, 1), Flatten(), Activation("linear")]).compile(loss="categorical_crossentropy")',
    "binary": 'Sequential([Dense(1)]).compile(loss="binary_crossentropy")',
    "binary, short": 'Sequential([Dense(1)]).compile(loss="bce")',
    "logarithms": 'Sequential([Dense(3, activation="log_softmax")]).compile(loss="categorical_crossentropy")',
    "divergence": 'Sequential([Dense(3)]).compile(loss="kld")',
    "focal": "Sequential([Dense(3)]).compile(loss=losses.CategoricalFocalCrossentropy())",
    "all outputs": """
        i = Input((8,))
        Model(i, [Dense(3)(i), Dense(3, activation="softmax")(i)]).compile(loss="categorical_crossentropy")
        """,
    "compiled twice": """
        m = Sequential([Dense(3)])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        m.compile(loss="categorical_crossentropy")
        """,
    "a loop of its own": """
        m, loss = Sequential([Dense(3)]), losses.SparseCategoricalCrossentropy()
        for xs, ys in data:
            with tf.GradientTape() as tape:
                value = loss(ys, m(xs, training=True))
        """,
}
KERAS_RIGHT = {
    "softmax": 'Sequential([Dense(3, activation="softmax")]).compile(loss="categorical_crossentropy")',
    "logits": "Sequential([Dense(3)]).compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))",
    "a hidden softmax": """
        m = Sequential([Dense(8, activation="softmax"), Dense(3)])
        m.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
        """,
    "a model around another, to predict": """
        m = Sequential([Dense(3)])
        m.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
        p = Sequential([m, layers.Softmax()])
        tf.nn.softmax(m.predict(x))
        """,
    "softmax and binary": 'Sequential([Dense(2, activation="softmax")]).compile(loss="binary_crossentropy")',
    "sigmoid and categorical: Keras divides by the sum": """
        Sequential([Dense(3, activation="sigmoid")]).compile(loss="categorical_crossentropy")
        """,
    "relu and categorical: so, too": """
        Sequential([Dense(3, activation="relu")]).compile(loss="categorical_crossentropy")
        """,
    "it depends": """
        def build(flag):
            m = Sequential([Dense(3, activation=None if flag else "softmax")])
            m.compile(loss=losses.CategoricalCrossentropy(from_logits=flag))
        """,
    "it depends, logits": """
        def build(flag):
            m = Sequential([Dense(3, activation=None if flag else "softmax")])
            m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "a layer that is added on some paths": """
        def build(flag):
            m = Sequential([Dense(3)])
            if flag:
                m.add(layers.Softmax())
            m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "taken off": """
        m = Sequential([Dense(3)])
        m.add(layers.Softmax())
        m.pop()
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "the options of a loss are not known": """
        Sequential([Dense(3)]).compile(loss=losses.CategoricalCrossentropy(**options))
        """,
    "the options of a layer are not known": """
        Sequential([Dense(3, **options)]).compile(loss="categorical_crossentropy")
        """,
    "another loss": 'Sequential([Dense(1)]).compile(loss="mse")',
    "the right loss of the two": """
        i = Input((8,))
        m = Model(i, [Dense(3, activation="softmax")(i), Dense(3)(i)])
        m.compile(loss=["categorical_crossentropy", losses.CategoricalCrossentropy(from_logits=True)])
        """,
    "no loss": "Sequential([Dense(3)]).compile(optimizer='adam', loss=None)",
    "another framework's model": "make_model().compile(loss='categorical_crossentropy')",
    "no top": """
        m = Sequential([keras.applications.ResNet50(include_top=False), Flatten(), Dense(3)])
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "an application's logits": """
        m = keras.applications.ResNet50(classifier_activation=None)
        m.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "a training step of its own": """
        class Net(keras.Model):
            def call(self, x):
                return Dense(3)(x)

            def train_step(self, data):
                x, y = data
                return self.compiled_loss(y, tf.nn.softmax(self(x)))

        Net().compile(loss="categorical_crossentropy")
        """,
    "clipped": "losses.binary_crossentropy(y, K.clip(Dense(1)(x), 1e-7, 1 - 1e-7))",
    "squares by their sum": """
        s = tf.square(Dense(3)(x))
        losses.categorical_crossentropy(y, s / tf.reduce_sum(s, axis=-1, keepdims=True))
        """,
    "soft labels": "losses.CategoricalCrossentropy(from_logits=True)(tf.nn.softmax(teacher), student)",
    "attention over steps": """
        i = Input((5, 8))
        a = Activation("softmax")(Flatten()(Dense(1, activation="tanh")(i)))
        b = layers.Softmax(axis=1)(Dense(1)(i))
        """,
    "channels first": 'Conv2D(1, 1, activation="softmax", data_format="channels_first")',
    "a sum that is 1, kept": "e = K.exp(x - K.max(x, axis=1, keepdims=True))\np = e / K.sum(e, axis=1, keepdims=True)",
}
KERAS_OTHER = {
    "double-sigmoid": """
        Sequential([Dense(1, activation="sigmoid")]).compile(loss=losses.BinaryCrossentropy(from_logits=True))
        """,
    "sigmoid-into-cross-entropy": """
        Sequential([Dense(3, activation="sigmoid")]).compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        """,
    "single-logit-softmax": """
        def never_called():
            return Dense(1, activation="softmax")
        """,
    "single-logit-softmax ": 'Sequential([Conv2D(1, 1), Activation("softmax")])(x)',
    "single-logit-softmax  ": "keras.applications.ResNet50(weights=None, classes=1)(x)",
    "log-of-softmax": "K.log(K.softmax(x) + K.epsilon())",
    "log-of-softmax ": """
        def loss(y_true, y_pred):
            return -ops.sum(y_true * ops.log(ops.clip(y_pred, 1e-7, 1.0)), axis=-1)

        Sequential([Dense(3, activation="softmax")]).compile(loss=loss)
        """,
    "keepdims": "e = K.exp(x - K.max(x))\np = e / K.sum(e, axis=1)",
}


@pytest.mark.parametrize("name", KERAS_WRONG)
def test_probabilities_reach_a_loss_from_logits(name: str) -> None:
    assert names(KERAS_WRONG[name], KERAS) == ["double-softmax"]


@pytest.mark.parametrize("name", KERAS_MISSING)
def test_logits_reach_a_loss_of_probabilities(name: str) -> None:
    assert names(KERAS_MISSING[name], KERAS) == ["missing-softmax"]


@pytest.mark.parametrize("name", KERAS_RIGHT)
def test_right_keras_is_silent(name: str) -> None:
    assert names(KERAS_RIGHT[name], KERAS) == []


@pytest.mark.parametrize("name", KERAS_OTHER)
def test_the_other_rules_hold_for_keras(name: str) -> None:
    assert names(KERAS_OTHER[name], KERAS) == [name.strip()]


TF = {
    "double-softmax": [
        "tf.nn.softmax_cross_entropy_with_logits(logits=tf.nn.softmax(x), labels=y)",
        "tf.nn.softmax_cross_entropy_with_logits(y, tf.nn.softmax(x))",
        "tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), y)",  # before 1.0
        "tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), tf.to_float(tf.one_hot(z, 10)))",
        "tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), labels=tf.reshape(z, [-1, 10]))",
        "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=tf.reshape(tf.nn.softmax(x), [-1, 10]))",
        "tf.compat.v1.losses.softmax_cross_entropy(y, tf.nn.softmax(x))",
        "tf.losses.sparse_softmax_cross_entropy(y, logits=tf.nn.softmax(x))",
        "tf.contrib.losses.softmax_cross_entropy(tf.nn.softmax(x), y)",
        "tf.contrib.seq2seq.sequence_loss(tf.nn.softmax(x), y, w)",
        "h = tf.contrib.layers.fully_connected(x, 10, activation_fn=tf.nn.softmax)\n"
        "tf.losses.softmax_cross_entropy(y, h)",
        "import tensorflow.contrib.slim as slim\n"
        "tf.losses.softmax_cross_entropy(y, slim.softmax(slim.fully_connected(x, 10, activation_fn=None)))",
        "h = tf.layers.dense(x, 10, tf.nn.softmax)\ntf.losses.softmax_cross_entropy(y, h)",
        "p = tf.identity(tf.nn.softmax(x), name='p')\ntf.nn.softmax_cross_entropy_with_logits_v2(labels=y, logits=p)",
        "p = tf.cond(t, lambda: tf.nn.softmax(x), lambda: tf.nn.softmax(2 * x))\ntf.losses.softmax_cross_entropy(y, p)",
        "tf.distributions.Categorical(logits=tf.nn.softmax(x))",
        "class M:\n    def build(self):\n        self.out = tf.nn.softmax(x)\n\n"
        "    def loss(self):\n        self.build()\n        return tf.losses.softmax_cross_entropy(y, self.out)",
    ],
    "double-softmax ": [
        """
import functools

def lazy(function):
    name = "_" + function.__name__

    @property
    @functools.wraps(function)
    def wrapper(self):
        if not hasattr(self, name):
            setattr(self, name, function(self))
        return getattr(self, name)

    return wrapper

class Model:
    def __init__(self, data, target):
        self.data, self.target = data, target
        self.prediction
        self.cost

    @lazy
    def prediction(self):
        return tf.nn.softmax(tf.layers.dense(self.data, 10))

    @lazy
    def cost(self):
        return tf.nn.softmax_cross_entropy_with_logits(labels=self.target, logits=self.prediction)

Model(x, y)
"""
    ],
    "double-sigmoid": [
        "tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=tf.sigmoid(x))",
        "tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=tf.layers.dense(x, 1, activation=tf.nn.sigmoid))",
        "tf.losses.sigmoid_cross_entropy(y, tf.math.sigmoid(x))",
        "tf.nn.weighted_cross_entropy_with_logits(y, tf.nn.sigmoid(x), 2.0)",
    ],
    "sigmoid-into-cross-entropy": ["tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=tf.sigmoid(x))"],
    "single-logit-softmax": [
        "tf.nn.softmax(tf.layers.dense(x, 1))",
        "tf.layers.dense(x, units=1, activation=tf.nn.softmax)",
    ],
    "log-of-softmax": [
        "p = tf.nn.softmax(x)\n-tf.reduce_sum(y * tf.log(p))",
        "tf.math.log(tf.clip_by_value(tf.nn.softmax(x), 1e-10, 1.0))",
        "tf.math.log(tf.add(tf.nn.softmax(x), 1e-8))",
    ],
    "keepdims": ["e = tf.exp(x - 3.0)\ntf.divide(e, tf.reduce_sum(e, axis=1))"],
    "naive-exp": ["tf.exp(x) / tf.reduce_sum(tf.exp(x), 1, keep_dims=True)"],
    "log-sum-exp": ["tf.log(tf.reduce_sum(tf.exp(x), axis=1))"],
    "mask-fill": ["tf.nn.softmax(tf.where(mask, x, tf.zeros_like(x)))"],
    "missing-softmax": ["tf.keras.losses.categorical_crossentropy(y, tf.layers.dense(x, 10))"],
}
TF_RIGHT = [
    "tf.losses.softmax_cross_entropy(tf.nn.softmax(x), x)",
    "tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=x)",
    "tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), z)",
    "def loss(a, b):\n    return tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(a), b)",
    "tf.contrib.losses.softmax_cross_entropy(x, tf.nn.softmax(x))",
    "logits = tf.layers.dense(x, 10)\np = tf.nn.softmax(logits)\ntf.losses.softmax_cross_entropy(y, logits)",
    "logits = tf.contrib.layers.fully_connected(x, 10)\ntf.losses.softmax_cross_entropy(y, logits)",
    "tf.nn.softmax(x - 1e9 * (1.0 - mask))",
    "tf.nn.softmax(tf.where(mask, x, -1e9 * tf.ones_like(x)))",
    "tf.nn.softmax(tf.where(tf.math.is_nan(x), tf.zeros_like(x), x))",
    "e = tf.exp(x - tf.reduce_max(x, axis=1, keepdims=True))\ne / tf.reduce_sum(e, axis=1, keepdims=True)",
    "tf.nn.softmax(tf.layers.dense(x, 1), axis=1)",
    "tf.nn.softmax(tf.layers.conv2d(x, 3, 1), axis=-1)",
    "p = tf.cond(t, lambda: tf.nn.softmax(x), lambda: x)\ntf.losses.softmax_cross_entropy(y, p)",
]


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, codes in TF.items() for code in codes])
def test_tensorflow(name: str, code: str) -> None:
    assert names(code, TENSORFLOW) == [name.strip()]


@pytest.mark.parametrize("code", TF_RIGHT)
def test_right_tensorflow_is_silent(code: str) -> None:
    assert names(code, TENSORFLOW) == []


SETUP = """
class Net(nn.Module):
    classes: int = 10

    def setup(self):
        self.dense = nn.Dense(self.classes)

    def __call__(self, x, train=True):
        return {result}

    def raw(self, x):
        return self.dense(x)

net = Net()
"""
PROBABILITIES = SETUP.format(result="nn.softmax(self.dense(x))")
LOGITS = SETUP.format(result="self.dense(x)")

JAX_WRONG = {
    "double-softmax": [
        "optax.softmax_cross_entropy(jax.nn.softmax(x), y)",
        "optax.losses.softmax_cross_entropy(logits=jax.nn.softmax(x, axis=1), labels=y)",
        "optax.safe_softmax_cross_entropy(jax.scipy.special.softmax(x, axis=-1), y)",
        "optax.softmax_cross_entropy(jnp.exp(jax.nn.log_softmax(x)), y)",
        "f = jax.jit(lambda v: jax.nn.softmax(v))\noptax.softmax_cross_entropy(f(x), y)",
        "f = jax.vmap(jax.nn.softmax)\noptax.softmax_cross_entropy(f(x), y)",
        "distrax.Categorical(logits=jax.nn.softmax(x))",
        "distrax.Categorical(jax.nn.softmax(x))",
        "tfp.distributions.Categorical(logits=jax.nn.softmax(x))",
        PROBABILITIES + "optax.softmax_cross_entropy(net.apply(v, x), y)",
        PROBABILITIES + "optax.softmax_cross_entropy(net.apply({'params': p}, x, train=True, rngs={'dropout': k}), y)",
        PROBABILITIES + "p, updates = net.apply(v, x, mutable=['batch_stats'])\noptax.softmax_cross_entropy(p, y)",
        PROBABILITIES + "s = train_state.TrainState.create(apply_fn=net.apply, params=p, tx=t)\n"
        "optax.softmax_cross_entropy(s.apply_fn({'params': p}, x), y)",
        PROBABILITIES + "def loss(p):\n    return optax.softmax_cross_entropy(net.apply(p, x), y)\n"
        "value, grads = jax.value_and_grad(loss)(p)",
        PROBABILITIES + "def loss(model: Net, p, x):\n    return optax.softmax_cross_entropy(model.apply(p, x), y)",
        "m = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(3), nn.softmax])\noptax.softmax_cross_entropy(m(x), y)",
        "m = nnx.Sequential(nnx.Linear(8, 3, rngs=r), nnx.softmax)\noptax.softmax_cross_entropy(m(x), y)",
        "def net(x):\n    return x, jax.nn.softmax(x)\n\n(a, b), g = jax.value_and_grad(net, has_aux=True)(x)\n"
        "optax.softmax_cross_entropy(b, y)",
    ],
    "double-sigmoid": [
        "optax.sigmoid_binary_cross_entropy(jax.nn.sigmoid(x), y)",
        "optax.sigmoid_focal_loss(nn.sigmoid(x), y)",
        "distrax.Bernoulli(logits=jax.nn.sigmoid(x))",
    ],
    "sigmoid-into-cross-entropy": ["optax.softmax_cross_entropy(jax.nn.sigmoid(x), y)"],
    "kl-probs-input": [
        "optax.kl_divergence(jax.nn.softmax(x), y)",
        "optax.convex_kl_divergence(log_predictions=jax.nn.softmax(x), targets=y)",
        LOGITS + "optax.kl_divergence(net.apply(v, x), y)",
    ],
    "kl-log-target": [
        "optax.kl_divergence(jax.nn.log_softmax(x), jax.nn.log_softmax(y))",
        "optax.kl_divergence_with_log_targets(jax.nn.log_softmax(x), jax.nn.softmax(y))",
    ],
    "single-logit-softmax": [
        "nn.softmax(nn.Dense(1)(x))",
        "nn.softmax(nn.Dense(features=1)(x), axis=-1)",
        "jax.nn.softmax(nnx.Linear(8, 1, rngs=r)(x))",
    ],
    "log-of-softmax": ["jnp.log(jax.nn.softmax(x) + 1e-8)", "jnp.log(nn.softmax(x)).sum()"],
    "keepdims": ["e = jnp.exp(x - x.max())\ne / jnp.sum(e, axis=-1)", "e = jnp.exp(x - x.max())\ne / e.sum(axis=1)"],
    "naive-exp": ["jnp.exp(x) / jnp.exp(x).sum(axis=-1, keepdims=True)"],
    "log-sum-exp": ["jnp.log(jnp.sum(jnp.exp(x), axis=-1))"],
    "mask-fill": [
        "jax.nn.softmax(jnp.where(mask, x.astype(jnp.float16), -1e9))",
        "jax.nn.softmax(jnp.where(mask, x, 0.0))",
        "jax.nn.softmax(jnp.where(mask, x, 1e-9), axis=-1)",
    ],
}
JAX_RIGHT = [
    "optax.softmax_cross_entropy(x, jax.nn.softmax(t))",
    "optax.kl_divergence(jax.nn.log_softmax(x), jax.nn.softmax(t))",
    "optax.kl_divergence_with_log_targets(jax.nn.log_softmax(x), jax.nn.log_softmax(t))",
    "distrax.Categorical(probs=jax.nn.softmax(x))",
    "tfp.distributions.Categorical(probs=jax.nn.softmax(x))",
    LOGITS + "optax.softmax_cross_entropy(net.apply(v, x), y)",
    PROBABILITIES + "optax.softmax_cross_entropy(net.apply(v, x, method=net.raw), y)",
    PROBABILITIES + "optax.softmax_cross_entropy(net.apply(v, x, method=Net.raw), y)",
    PROBABILITIES + "optax.softmax_cross_entropy(net.apply(v, x, method='raw'), y)",
    "class Head(nn.Module):\n    classes: int = 1\n\n    @nn.compact\n    def __call__(self, x):\n"
    "        return nn.softmax(nn.Dense(self.classes)(x))",
    "class Head(nn.Module):\n    logits: bool = False\n\n    @nn.compact\n    def __call__(self, x):\n"
    "        x = nn.Dense(3)(x)\n        return x if self.logits else nn.softmax(x)\n\n"
    "def loss(model: Head, p, x):\n    return optax.softmax_cross_entropy(model.apply(p, x), y)",
    "jax.nn.softmax(jnp.where(mask, x, -1e30))",
    "jax.nn.softmax(jnp.where(mask, x, -jnp.inf))",
    "jax.nn.softmax(jnp.where(jnp.isnan(x), 0.0, x))",
    "jax.nn.softmax(jnp.where(mask, x, jnp.finfo(x.dtype).min))",
    "jax.nn.softmax(x + (1.0 - mask) * -1e9)",
    "jax.nn.softmax(nn.Dense(1)(x), axis=1)",
    "e = jnp.exp(x - x.max(-1, keepdims=True))\ne / e.sum(-1, keepdims=True)",
    "e = jnp.exp(x - x.max())\nw = e / e.sum()",
    "jax.nn.softmax(nn.Conv(8, (3, 3))(x), axis=-1)",
    "def f(scores):\n    return optax.softmax_cross_entropy(scores, y)\n\nf(x)\njax.vmap(f)(x)",
]


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, codes in JAX_WRONG.items() for code in codes])
def test_jax(name: str, code: str) -> None:
    assert names(code, JAX) == [name]


@pytest.mark.parametrize("code", JAX_RIGHT)
def test_right_jax_is_silent(code: str) -> None:
    assert names(code, JAX) == []
