"""The TensorFlow tutorial's way to caption with attention, written anew from its description.

A GRU with additive attention: a dense layer on the grid, teacher forcing through a Python loop that
``tf.function`` unrolls, every caption padded to the longest of the data set, batches of 64 captions, Adam at
1e-3. Runs where tensorflow is installed; it needs nothing of showtell.
"""

import json
import sys
import time

import numpy as np
import tensorflow as tf

BATCH = 64
"""Captions a step."""


class Captioner(tf.keras.Model):
    """The tutorial's encoder and decoder in one."""

    def __init__(self, vocabulary: int, hidden: int, embed: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.project = tf.keras.layers.Dense(embed, activation="relu")
        self.to_key = tf.keras.layers.Dense(hidden)
        self.to_query = tf.keras.layers.Dense(hidden)
        self.to_score = tf.keras.layers.Dense(1)
        self.embed = tf.keras.layers.Embedding(vocabulary, embed)
        self.gru = tf.keras.layers.GRU(hidden, return_sequences=True, return_state=True)
        self.deep = tf.keras.layers.Dense(hidden)
        self.to_words = tf.keras.layers.Dense(vocabulary)

    def losses_of(
        self, grid: tf.Tensor, token_ids: tf.Tensor, lengths: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the sum of cross-entropies over real words, and their number."""
        values = self.project(tf.cast(grid, tf.float32))
        state = tf.zeros([tf.shape(grid)[0], self.hidden])
        total = 0.0
        for moment in range(token_ids.shape[1] - 1):
            query = self.to_query(tf.expand_dims(state, 1))
            score = self.to_score(tf.nn.tanh(self.to_key(values) + query))
            context = tf.reduce_sum(tf.nn.softmax(score, axis=1) * values, axis=1)
            word = self.embed(token_ids[:, moment : moment + 1])
            output, state = self.gru(tf.concat([tf.expand_dims(context, 1), word], axis=-1))
            logits = self.to_words(self.deep(output[:, 0]))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(token_ids[:, moment + 1], logits)
            total += tf.reduce_sum(tf.where(lengths > moment, loss, 0.0))
        return total, tf.cast(tf.reduce_sum(lengths), tf.float32)


def rows_of(data: dict[str, np.ndarray], rows: np.ndarray) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return grid, token ids and lengths of captions, numbered image by image."""
    captions = data["lengths"].shape[1]
    token_ids = data["token_ids"].reshape(-1, data["token_ids"].shape[-1])[rows]
    lengths = data["lengths"].reshape(-1)[rows]
    return tuple(tf.constant(part) for part in (data["grid"][rows // captions], token_ids, lengths))


def main(path: str, vocabulary: int, hidden: int, marks: int) -> None:
    """Train on a file of data; print seconds a step (wall, processor) and losses as JSON."""
    file = np.load(path)
    data, held = ({name: file[f"{part}_{name}"] for name in ("grid", "token_ids", "lengths")}
                  for part in ("train", "held"))  # fmt: skip
    tf.random.set_seed(0)
    model = Captioner(vocabulary, hidden, hidden // 2)
    optimizer = tf.keras.optimizers.Adam()

    @tf.function
    def train_step(grid, token_ids, lengths):
        with tf.GradientTape() as tape:
            total, words = model.losses_of(grid, token_ids, lengths)
            # Padding counts in the tutorial's mean over words; here the words that are real are counted.
            loss = total / words
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    evaluate = tf.function(model.losses_of)

    def held_out_loss() -> float:
        sums = np.zeros(2)
        for start in range(0, held["lengths"].size // BATCH * BATCH, BATCH):
            sums += [float(part) for part in evaluate(*rows_of(held, np.arange(start, start + BATCH)))]
        return float(sums[0] / sums[1])

    order = np.random.default_rng(0).permutation(data["lengths"].size)
    batches = [order[start : start + BATCH] for start in range(0, len(order) // BATCH * BATCH, BATCH)]
    seconds, losses = [], []
    for number, rows in enumerate(batches, 1):
        started = time.perf_counter(), time.process_time()
        train_step(*rows_of(data, rows))
        seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        if number * marks // len(batches) > (number - 1) * marks // len(batches):
            losses.append((number * BATCH, held_out_loss()))
    print(json.dumps({"seconds": seconds, "batch": BATCH, "losses": losses}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
