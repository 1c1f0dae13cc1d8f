"""The recipes of `examples/field` can be run, and the table of their results is theirs."""

import csv
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import api
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.families import FAMILIES
from ratedistortion.settings import from_mapping, read_config
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, SweptParameters

FOLDER = Path(__file__).parents[1] / "examples" / "field"
RECIPES = {path.stem: read_config(path) for path in sorted(FOLDER.glob("*.toml"))}
KINDS = {"static": "binarized_mnist", "dynamic": "mnist", "digits": "digits"}
KINDS["fashion"] = "fashion_mnist"
SPEC = importlib.util.spec_from_file_location("run_recipes", FOLDER / "run.py")
run_recipes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_recipes)


def results() -> list[dict[str, str]]:
    with (FOLDER / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("corner")])
def test_the_name_of_a_recipe_says_what_it_is(name):
    settings = from_mapping(RECIPES[name], name)
    kind, *members = name.split("_")
    assert settings.dataset == KINDS[kind]
    assert members == [settings.encoder, settings.decoder, settings.prior]


def test_the_results_are_of_the_recipes_that_are_there():
    rows = results()
    for name in {row["recipe"] for row in rows}:
        settings = from_mapping(RECIPES[name], name)
        own = [row for row in rows if row["recipe"] == name]
        assert [float(row["beta"]) for row in own] == sorted(settings.betas)
        assert {row["decoder"] for row in own} == {settings.decoder}
        assert {row["status"] for row in own} == {"ok"}
    combinations = {(row["encoder"], row["decoder"], row["prior"]) for row in rows}
    assert len({row["recipe"] for row in rows}) >= 12 and len(combinations) >= 10


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_at_its_top_what_it_gave(name):
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    own = [row for row in results() if row["recipe"] == name]
    assert run_recipes.with_results(text, own) == text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_traced_from_start_to_step(name):
    settings = from_mapping(RECIPES[name], name)
    assert all(getattr(settings, family) in members for family, members in FAMILIES.items())
    shape = (8, 8, 1) if settings.dataset == "digits" else (28, 28, 1)
    run = Run(settings, Autoencoder(settings, shape), DataShape(50_000, 1.0, False))
    images = jax.ShapeDtypeStruct((50_000, int(np.prod(shape))), jnp.uint8)
    kinds = jnp.float32, jnp.float32, jnp.int32, jnp.float32
    arguments = SweptParameters(*(jax.ShapeDtypeStruct((), kind) for kind in kinds))
    step = jax.ShapeDtypeStruct((), jnp.int32)
    after = jax.eval_shape(run.advance, run.state, arguments, images, step, step)
    assert jax.tree.structure(after) == jax.tree.structure(run.state)


def test_the_digits_are_planned(tmp_path):
    settings = from_mapping(RECIPES["digits_mlp_mlp_standard"], "digits")
    assert api.dry_run(settings, tmp_path / "run")["runs"] == len(settings.betas)
