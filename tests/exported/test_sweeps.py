"""Posteriors that a sweep kept, measured on their own, are the rows of the sweep."""

import shutil

import numpy as np
import pytest

import ratedistortion as rd
from ratedistortion.errors import RunDirectoryError, SettingsError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_quickly")]
SMALL = {
    **{"max_examples": 200, "hidden": (8,), "latents": 3, "steps": 60, "codes": 150},
    **{"betas": (1e-4, 0.5), "save_posteriors": True, "batch_size": 50},
}
SAME = (
    *("rate", "rate_se", "distortion", "negative_elbo", "negative_elbo_se", "marginal_kl"),
    *("mutual_information", "mutual_information_se", "mutual_information_lower", "marginal_kl_se"),
    *("mutual_information_upper", "leave_one_out", "identity_residual", "marginal_kl_gaussian"),
    *("population_information_upper", "identity_residual_se"),
)


@pytest.mark.parametrize("prior", ["standard", "diagonal", "mixture"])
def test_posteriors_of_a_sweep_give_its_numbers(tmp_path, prior):
    swept = rd.sweep(rd.Settings(prior=prior, **SMALL), tmp_path / "run", progress=False)
    files = sorted((tmp_path / "run" / "posteriors").iterdir())
    # Away from their run directory, they are all that there is.
    shutil.copytree(tmp_path / "run" / "posteriors", tmp_path / "alone")
    for folder in ("run/posteriors", "alone"):
        found = rd.measure(*(tmp_path / folder / file.name for file in files))
        keys = ["beta", "seed", "split"]
        both = swept.merge(found, on=keys, suffixes=("", "_found"), validate="one_to_one")
        assert len(both) == len(swept) == 4
        assert (both["status_found"] == "ok").all(), both["failed_checks_found"].tolist()
        for name in SAME:
            np.testing.assert_allclose(both[f"{name}_found"], both[name], atol=1e-6, err_msg=name)
        assert both["saturated_found"].tolist() == both["saturated"].tolist()
        assert both["distinct_examples_found"].tolist() == both["distinct_examples"].tolist()
    # A file that the sweep did not write so is refused in its place.
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "run" / "posteriors")
    first, second, *_ = files
    shutil.copy(first, second)
    for file in (second, linked / second.name):
        with pytest.raises(RunDirectoryError, match="SHA-256 differs"):
            rd.measure(file)


def test_posteriors_lie_in_the_run_directory_also_where_its_path_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rd.sweep(rd.Settings(**SMALL), "some/run", progress=False)
    kept = {str(path) for path in (tmp_path / "some/run").rglob("*.npz")}
    assert kept == {
        str(tmp_path / "some/run" / file)
        for file in (
            *("data.npz", "images.npz"),
            *(
                f"posteriors/beta={beta},seed=0,split={split}.npz"
                for beta in (0.0001, 0.5)
                for split in ("train", "test")
            ),
        )
    }


def test_posteriors_that_a_flow_moves_are_no_gaussians(tmp_path):
    rd.sweep(
        rd.Settings(encoder="iaf", **SMALL | {"betas": (0.5,)}), tmp_path / "run", progress=False
    )
    file, *_ = (tmp_path / "run" / "posteriors").iterdir()
    with pytest.raises(SettingsError, match="a flow moves: give a matrix log_q"):
        rd.measure(file)
