"""Members of the user's own: what is wrong with one is told in one line, before training."""

import dataclasses
import hashlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Plan, Sweep
from ratedistortion.errors import DatasetError, SettingsError
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.families import members
from ratedistortion.settings import Settings, from_mapping, in_todays_terms
from ratedistortion.settings.code import shown

SHAPE, LATENTS = (2, 2, 1), 2

HEAD = """\
import jax
import jax.numpy as jnp
from flax import nnx
from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.likelihoods import Likelihood, LinearOutputs


"""
ENCODER = """\
class Net(nnx.Module):
    gaussian = True

    def __init__(self, key, settings):
        self.map = nnx.Linear(4, 2 * settings.latents, rngs=nnx.Rngs(key))

    def __call__(self, x):
        mean, log_scale = jnp.split(self.map(x), 2, axis=-1)
        return Posterior(mean, log_scale)


def build(key, settings, shape):
    return Net(key, settings)
"""
FLOWING = ENCODER.replace("gaussian = True", "gaussian = False").replace(
    "Posterior(mean, log_scale)", "Posterior(mean, log_scale, mean)"
)
FLOWS = """
    def flow(self, start, context):
        return start + context

    def unflow(self, z, context):
        return z - context


def build("""
DECODER = """\
class Net(nnx.Module):
    autoregressive = False

    def __init__(self, key, settings, outputs):
        self.map = nnx.Linear(settings.latents, 4 * outputs, rngs=nnx.Rngs(key))

    def __call__(self, z):
        return self.map(z)


def build(key, settings, shape, outputs):
    return Net(key, settings, outputs)
"""
CAUSAL = """\
class Net(nnx.Module):
    autoregressive = True

    def __init__(self, key):
        self.slope = nnx.Param(jnp.ones((1, 1), jnp.float32))

    def __call__(self, z, x):
        return self.slope[...] * (jnp.cumsum(x, axis=1) - x)

    def cache(self, z):
        return jnp.zeros((len(z), 1), z.dtype)

    def one(self, i, x, cache):
        return self.slope[...] * cache, cache + x[:, i, None]


def build(key, settings, shape, outputs):
    return Net(key)
"""
PRIOR = """\
class Net(nnx.Module):
    gaussian = False
    uses_encoder = False

    def __init__(self, latents):
        self.place = nnx.Param(jnp.zeros((1, latents), jnp.float32))

    def log_density(self, z):
        return -jnp.sum(jnp.abs(z - self.place[...]) + jnp.log(2.0), axis=-1)

    def sample(self, key, count):
        place = self.place[...]
        return place + jax.random.laplace(key, (count, place.shape[1]), jnp.float32)


def build(key, settings, shape):
    return Net(settings.latents)
"""
LIKELIHOOD = """\
def build(settings):
    def log_density(x, rate):
        rate = rate[..., 0]
        return jnp.sum(x * rate - jnp.exp(rate) - jax.scipy.special.gammaln(x + 1), axis=-1)

    return Likelihood(
        outputs=1,
        log_density=log_density,
        mean=lambda rate: jnp.exp(rate[..., 0]),
        sample=lambda key, rate: jax.random.poisson(key, jnp.exp(rate[..., 0])).astype(jnp.float32),
        linear=lambda mean: LinearOutputs(jnp.ones(1, jnp.float32), mean[:, None], jnp.float32(1)),
        accepts=lambda x: x >= 0,
        needs="numbers of at least 0",
    )
"""
MEMBERS = {
    "encoder": ENCODER,
    "decoder": DECODER,
    "prior": PRIOR,
    "likelihood": LIKELIHOOD,
    "flowing": FLOWING.replace("\ndef build(", FLOWS.lstrip(" ")),
    "causal": CAUSAL,
}
FAMILY = {"flowing": "encoder", "causal": "decoder"}


@pytest.fixture(autouse=True)
def same_modules(monkeypatch):
    """Modules that a test has imported are forgotten."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "@sha256:" in name:
            del sys.modules[name]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Settings with a member from a file in the working directory, of this source."""
    monkeypatch.chdir(tmp_path)

    def settings(kind, source, **values):
        (tmp_path / "net.py").write_text(HEAD + source)
        return Settings(
            dataset="made",
            latents=LATENTS,
            hidden=(3,),
            **{FAMILY.get(kind, kind): "net.py:build"},
            **values,
        )

    return settings


def refused(settings, *words):
    with pytest.raises(SettingsError) as error:
        jax.eval_shape(Autoencoder(settings, SHAPE).build, jax.random.key(0))
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text
    return text


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_member_that_keeps_to_its_protocol_is_part_of_a_model(own, kind):
    settings = own(kind, MEMBERS[kind])
    autoencoder = Autoencoder(settings, SHAPE)
    model = autoencoder.build(jax.random.key(0))
    x = jnp.ones((3, 4), jnp.float32)
    posterior = autoencoder.encode(model, x)
    z = autoencoder.draw(model, posterior, 0 * posterior.mean)
    assert autoencoder.log_likelihood(model, x, z).shape == (3,)
    assert autoencoder.log_prior(model, z).shape == (3,)


def test_a_name_has_the_sum_of_the_source_and_no_folder(own, tmp_path):
    settings = own("encoder", ENCODER)
    sum_of_file = hashlib.sha256((tmp_path / "net.py").read_bytes()).hexdigest()
    assert settings.encoder == f"net.py:build@sha256:{sum_of_file}"
    assert Settings(encoder=str(tmp_path / "net.py:build")).encoder == settings.encoder
    assert from_mapping(settings.as_json(), "stored") == settings
    assert shown(settings.encoder) == "net.py:build" and shown("mlp") == "mlp"
    (tmp_path / "a:b.py").write_text(HEAD + ENCODER)
    odd = Settings(encoder="a:b.py:build")
    assert from_mapping(in_todays_terms(odd.as_json()), "stored") == odd


def test_a_member_of_a_package_is_found_and_may_import_from_it(own, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "sizes.py").write_text("WIDTH = 4\n")
    source = HEAD + "from .sizes import WIDTH\n" + ENCODER.replace("(4, 2", "(WIDTH, 2")
    (tmp_path / "mine" / "nets.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    settings = Settings(dataset="made", latents=LATENTS, encoder="mine.nets:build")
    assert settings.encoder.startswith("mine.nets:build@sha256:")
    assert Autoencoder(settings, SHAPE).build(jax.random.key(0)).encoder.gaussian


def test_what_is_run_is_what_was_there_when_it_was_named(own, tmp_path):
    settings = own("encoder", ENCODER)
    (tmp_path / "net.py").write_text("raise RuntimeError('another version')")
    assert members(settings)["encoder"].__name__ == "build"
    with pytest.raises(SettingsError, match="line 1 of net.py: RuntimeError: another version"):
        members(Settings(encoder="net.py:build"))


@pytest.mark.parametrize(
    "value, words",
    [
        ("none.py:build", ["encoder none.py:build: ", "/none.py: there is no such file."]),
        ("nets/:build", ["there is no such file"]),
        ("net.py", ["say which function builds it: net.py:NAME."]),
        ("net.py:", ["must be such as net.py:build or net:build: got 'net.py:'."]),
        ("no.such.module:build", ["encoder no.such.module: cannot be imported: ModuleNotFound"]),
        ("nosuchmodule:build", ["there is no module nosuchmodule: install it, or add its folder"]),
        ("math:sin", ["math: it has no source file"]),
        ("a\udcff.py:build", ["must be text that can be printed: got 'a\\udcff.py:build'; rename"]),
        ("a\nb.py:build", ["must be text that can be printed"]),
    ],
)
def test_code_that_is_not_there(own, value, words):
    own("encoder", ENCODER)
    with pytest.raises(SettingsError) as error:
        Settings(encoder=value)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    "source, words",
    [
        ("x = 1\n", ["encoder net.py:build", "net.py has no build."]),
        ("build = 3\n", ["build must be a function: got int."]),
        ("import nothing_like_it\n", ["encoder net.py:build, line 8 of net.py: ModuleNotFoundErr"]),
        ("def build(:\n", ["line 8 of net.py: SyntaxError"]),
        ("1 / 0\n", ["line 8 of net.py: ZeroDivisionError: division by zero"]),
        ("import sys\nsys.exit(3)\n", ["line 9 of net.py: SystemExit: 3"]),
        ("def build(key):\n    pass\n", ["TypeError: build() takes 1 positional argument but 3"]),
        (
            "def build(*_):\n    pass\n",
            ["NoneType lacks gaussian, __call__", "interfaces.Encoder."],
        ),
        ("def build(*_):\n    return object()\n", ["must be a pytree of arrays", "got object."]),
        ("def build(*_):\n    raise ValueError('odd')\n", ["line 9 of net.py: ValueError: odd"]),
    ],
)
def test_code_that_builds_no_member(own, source, words):
    refused(own("encoder", source), *words)


@pytest.mark.parametrize(
    "kind, old, new, words",
    [
        ("encoder", "    gaussian = True\n", "", ["Net lacks gaussian: it must offer all of"]),
        ("encoder", "gaussian = True", "gaussian = 1", ["gaussian must be True or False: got 1."]),
        ("encoder", "gaussian = True", "gaussian = False", ["Net lacks flow, unflow"]),
        ("encoder", "2 * settings", "4 * settings", ["mean must be float32 (3, 2)", "(3, 4)."]),
        (
            "encoder",
            "Posterior(mean, log_scale)",
            "mean, mean",
            ["must return interfaces.Posterior"],
        ),
        (
            "encoder",
            "rngs",
            "param_dtype=jnp.float16, rngs",
            ["all parameters must be float32: got float16 in", "map"],
        ),
        ("encoder", "self.map = ", "self.noise = nnx.Rngs(key)\n        self.map = ", ["float32"]),
        (
            "encoder",
            "return Posterior(mean",
            "mean = mean.astype(jnp.zeros(2).dtype)\n        return Posterior(mean",
            ["mean must be float32", "got float64", "write the dtype"],
        ),
        ("encoder", "self.map(x)", "self.map(x.T)", ["line 15 of net.py: TypeError: dot_general"]),
        (
            "encoder",
            "self.map(x)",
            "self.map(x) if x[0, 0] > 0 else x",
            ["line 15 of net.py: TracerBoolConversionError: Attempted boolean"],
        ),
        ("flowing", ", log_scale, mean)", ", log_scale)", ["must have a context"]),
        ("flowing", "return z - context", "return z[:, :1]", ["unflow must be float32", "(3, 1)"]),
        (
            "flowing",
            "return start + context",
            "return (start + context).astype(jnp.float32)",
            ["flow must be float64", "got float32"],
        ),
        ("decoder", "4 * outputs", "3 * outputs", ["outputs must be float32 (3, 4)", "(3, 3)."]),
        ("decoder", "autoregressive = False", "autoregressive = True", ["Net lacks cache, one"]),
        ("causal", "* cache, cache +", "* cache, z +", ["line 21 of net.py: NameError"]),
        ("causal", "cache + x[:, i, None]", "x", ["one must return a cache of the shapes"]),
        ("causal", "return self.slope[...] * cache,", "return x,", ["outputs of one must be"]),
        (
            "prior",
            "    uses_encoder = False\n",
            "",
            ["uses_encoder must be True or False: got None"],
        ),
        ("prior", "uses_encoder = False", "uses_encoder = True", ["Net lacks given"]),
        ("prior", "gaussian = False", "gaussian = True", ["Net lacks standardize"]),
        (
            "prior",
            ", axis=-1)",
            ", axis=0)",
            ["log_density must be float32 (3,)", "got float32 (2,)"],
        ),
        ("prior", "return -jnp.sum(", "return -jnp.float32(1) * jnp.float32(", ["TypeError"]),
        ("prior", "laplace(key, (count,", "laplace(key, (2,", ["sample must be float32 (3, 2)"]),
        ("likelihood", "outputs=1", "outputs=0", ["outputs must be a whole number of at least 1"]),
        ("likelihood", ", axis=-1)", ")", ["log_density must be float32 (3,) for 3 images: got"]),
        ("likelihood", "return Likelihood(", "return dict(", ["must be a likelihoods.Likelihood"]),
        ("likelihood", "mean[:, None]", "mean", ["bias of linear must be float32 (4, 1)"]),
        ("likelihood", ".astype(jnp.float32)", "", ["sample must be float32", "got int32"]),
    ],
)
def test_a_member_that_does_not_keep_to_its_protocol(own, kind, old, new, words):
    assert old in MEMBERS[kind]
    refused(own(kind, MEMBERS[kind].replace(old, new)), f"{FAMILY.get(kind, kind)} net.py:", *words)


def test_stored_settings_import_nothing_until_the_code_is_named(own, tmp_path):
    """Names are kept in this program by `Settings`; a stored name of other code is unknown."""
    stored = own("encoder", ENCODER).encoder.replace("sha256:", "sha256:0")[:-1]
    settings = from_mapping({"encoder": stored, "prior": stored}, "stored")
    with pytest.raises(SettingsError) as error:
        members(settings)
    assert str(error.value) == (
        "this sweep has its own encoder net.py:build and prior net.py:build: name it again with"
        " --encoder net.py:build --prior net.py:build."
    )


def test_a_likelihood_says_which_data_it_takes(own):
    random = np.random.default_rng(0)

    def engine(counts, source=LIKELIHOOD):
        np.savez("counts.npz", train=counts, test=counts[:20])
        settings = own("likelihood", source, batch_size=10, betas=(1.0,))
        settings = dataclasses.replace(settings, dataset="counts.npz")
        sweep = Sweep(settings, datasets.load(settings), Plan("map", 1, 1, 1))
        return Engine(sweep, jax.local_devices())

    counts = random.poisson(3.0, (60, 4))
    found = engine(counts)
    assert found.sweep.data.splits["test"].max() == counts[:20].max()
    counts[7, 2] = -1
    with pytest.raises(DatasetError) as error:
        engine(counts)
    assert str(error.value) == (
        "counts.npz: likelihood net.py:build needs numbers of at least 0: got -1 in train, row 7;"
        " give other data, or another --likelihood."
    )
    with pytest.raises(SettingsError, match=r"accepts must return booleans of shape \(60, 4\)"):
        engine(abs(counts), LIKELIHOOD.replace("x >= 0", "True"))
