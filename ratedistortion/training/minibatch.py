"""The images of a step, in an order that is computed and never stored."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray


def minibatch(
    key: PRNGKeyArray, step: Int[Array, ""], examples: int, batch_size: int
) -> Int[Array, "batch"]:
    """The images of a step, without a permutation of the whole data set in memory.

    Every epoch visits examples // batch_size * batch_size images once each, in an order of its
    own. The order is a mixed-radix Feistel network on (step in epoch, place in batch), whose
    round functions are tables drawn afresh for every epoch, then a random rotation that decides
    which few images an epoch leaves out. With fewer than about ten images in a batch, neighbours
    in the data set tend to come in neighbouring steps; with one, the order is that of the data
    set, from a random start.

    Args:
        key: The same for all steps of a run.
        step: Counts from 0 over all epochs.
        examples: Images in the data set.
        batch_size: Images in a step, at most `examples`.

    Returns:
        Distinct row numbers in [0, examples).

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002.
    """
    per_epoch = examples // batch_size
    tables_key, rotation_key = jax.random.split(jax.random.fold_in(key, step // per_epoch))
    tables = jax.random.bits(tables_key, (3, per_epoch + batch_size), jnp.uint32)
    place = jnp.arange(batch_size, dtype=jnp.uint32)
    turn = jnp.full((batch_size,), step % per_epoch, jnp.uint32)
    for table in tables:
        turn = (turn + table[place] % per_epoch) % per_epoch
        place = (place + table[batch_size + turn] % batch_size) % batch_size
    rotation = jax.random.randint(rotation_key, (), 0, examples, jnp.int32)
    return ((turn * batch_size + place).astype(jnp.int32) + rotation) % examples
