import json

import mnist_like
import numpy as np
import pytest
from commands import check_message, rd_plot

from ratedistortion.settings import Settings
from ratedistortion.theory import linear_gaussian_optimum


def linear_gaussian(path, factor=1.0, seeds=2, shift=0.0, **changed):
    """A sweep that ended exactly where it should, if it was trained at the betas it names."""
    rows = []
    for beta in np.geomspace(0.1, 2, 9):
        optimum = linear_gaussian_optimum(np.array([4, 1, 0.25]), 0.2**0.5, float(factor * beta))
        rate, distortion = optimum.rate, optimum.distortion + shift
        values = {"rate": rate, "distortion": distortion, "negative_elbo": rate + distortion}
        errors = dict.fromkeys(("rate_se", "distortion_se", "negative_elbo_se"), 1e-3)
        rows += mnist_like.rows((float(beta),), seeds, dimensions=3, **values, **errors)
    settings = Settings(
        dataset="gaussian:4,1,0.25", likelihood="gaussian", likelihood_scale=0.2**0.5, **changed
    )
    return mnist_like.run_directory(path, rows, settings.as_json())


def test_summary_prints_a_table_and_what_it_finds(tmp_path):
    run = linear_gaussian(tmp_path / "lin")
    result = rd_plot(run, "--summary", "--target-rate", 3, "--target-distortion", 1)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "lin: binarized_mnist, 10,000 test images, nats per image"
    assert lines[1].split()[:4] == ["beta", "seeds", "R", "D"]
    assert lines[2].split()[:6] == ["0.1", "2", "5.87", "±0.00", "0.49", "±0.00"]
    assert len(lines[2:11]) == 9 and all("  converged  " in line for line in lines[2:11])
    text = "\n".join(lines[11:])
    # R + D is least at beta 1, where it is H = 4.2568 of the source; 0.9457 is next to it.
    assert "Best -ELBO: 4.26 ±0.00 at beta 0.9457, seed 0." in text
    assert "Entropy H of the source: 4.26; the best R + D is +0.00 ±0.00 from it." in text
    assert "Slopes against -beta: 9 converged, of 9 points.\n" in text
    assert "Regimes: semantic encoder for beta 0.2" in text
    assert "Knee (R and D both change fast): beta 0." in text
    # By hand: theta = beta / 5 is e^-2 at R = 3, and 0.08765 at D = 1, within 1%.
    assert "At R = 3: beta 0.676" in text and "At D = 1: beta 0.438" in text


def test_summary_says_what_is_under_trained(tmp_path):
    run = linear_gaussian(tmp_path / "lin", factor=1.3)
    text = rd_plot(run, "--summary").stdout
    assert "9 under-trained, of 9 points. Train longer." in text


@pytest.mark.parametrize(
    "changed, reason",
    [
        (
            {"free_bits": 0.1},
            "with free bits the loss is not D + beta R, so dD/dR = -beta does not",
        ),
        ({"warmup": 2900}, "beta was still rising for 2,900 of 3,000 steps"),
    ],
)
def test_summary_gives_no_verdict_where_the_slope_need_not_be_minus_beta(tmp_path, changed, reason):
    run = linear_gaussian(tmp_path / "lin", factor=1.3, **changed)
    text = rd_plot(run, "--summary").stdout
    assert f"Slopes against -beta: no verdict: {reason}" in text and "Train longer" not in text
    assert [line.split()[10] for line in text.splitlines()[2:11]] == ["-"] * 9
    (found,) = json.loads(rd_plot(run, "--json").stdout)["runs"]
    assert found["no_verdict"].startswith(reason) and found["verdicts"] is None
    assert {point["verdict"] for point in found["points"]} == {None}
    assert found["points"][4]["slope_over_minus_beta"] == pytest.approx(1.3, rel=0.1)


def test_summary_as_json_is_one_object_in_the_units_asked_for(tmp_path):
    run = linear_gaussian(tmp_path / "lin")
    nats, bits = (
        json.loads(rd_plot(run, "--json", "--units", units, "--target-rate", target).stdout)
        for units, target in (("nats", 3), ("bits", 3 / np.log(2)))
    )
    assert list(nats) == ["units", "split", "runs", "comparison"] and nats["comparison"] is None
    assert (nats["units"], bits["units"]) == ("nats per image", "bits per image")
    (nats,), (bits,) = nats["runs"], bits["runs"]
    assert nats["verdicts"] == {"converged": 9, "under-trained": 0, "unclear": 0}
    assert nats["best"]["negative_elbo"] == pytest.approx(nats["entropy"], abs=0.01)
    for name in ("knee_beta", "semantic_betas", "both_fast_betas"):
        assert bits[name] == pytest.approx(nats[name])
    assert bits["at_rate"]["beta"] == pytest.approx(nats["at_rate"]["beta"])
    assert bits["entropy"] == pytest.approx(nats["entropy"] / np.log(2))
    for there, here in zip(nats["points"], bits["points"], strict=True):
        assert here["rate"] == pytest.approx(there["rate"] / np.log(2))
        assert here["slope"] == pytest.approx(there["slope"])
        assert abs(there["slope_over_minus_beta"] - 1) < 0.05 and there["verdict"] == "converged"


def test_summary_of_two_runs_compares_the_second_with_the_first(tmp_path):
    runs = [linear_gaussian(tmp_path / name, shift=n / 2) for n, name in enumerate("ab")]
    found = json.loads(rd_plot(*runs, "--json").stdout)["comparison"]
    assert found["bd_distortion"] == pytest.approx(0.5) and found["bd_rate_percent"] > 10
    text = rd_plot(*runs, "--summary", "--units", "bits").stdout
    assert "b against a, bits per image; below 0, it is better:" in text
    assert "BD-distortion +0.72, over R 2.32 to 8.47." in text
    other = mnist_like.run_directory(tmp_path / "other")
    # A likelihood of the user's own, in two versions: the column shows the same name for both.
    versions = [
        mnist_like.run_directory(
            tmp_path / digit, None, {"likelihood": f"net.py:make@sha256:{digit * 64}"}
        )
        for digit in "01"
    ]
    for pair in ([runs[0], other], [other, runs[0]], versions):
        assert "no BD-rate: they have different data" in rd_plot(*pair, "--summary").stdout
    assert json.loads(rd_plot(*runs, other, "--json").stdout)["comparison"] is None
    far = linear_gaussian(tmp_path / "far", shift=50)
    text = rd_plot(runs[0], far, "--summary").stdout
    assert "far against a: no BD-rate: to compare sweeps, their distortions must overlap" in text


def test_a_scale_that_is_learned_is_said_beside_the_curve(tmp_path):
    rows = mnist_like.rows(seeds=1)
    for n, row in enumerate(rows):
        row |= {"likelihood_scale": 0.1 + 0.01 * n, "distortion_mse": 0.05}
    run = mnist_like.run_directory(tmp_path / "learned", rows)
    text = rd_plot(run, "--summary").stdout
    assert "The scale of the likelihood goes from 0.1 to 0.17: D moves with it" in text
    assert "The squared error of these images is up to 5 times the square of that" in text
    assert json.loads(rd_plot(run, "--json").stdout)["runs"][0]["likelihood_scales"] == [0.1, 0.17]


def test_summary_of_a_sweep_with_nothing_to_say(tmp_path):
    rows = mnist_like.rows((1.0, 2.0), 1, diverged={(2.0, 0)})
    run = mnist_like.run_directory(tmp_path / "one", rows)
    text = rd_plot(run, "--summary").stdout
    assert "Slopes against -beta: 1 unclear, of 1 points." in text and "Regimes: none" in text
    assert "Left out, because they diverged: 1." in text
    (found,) = json.loads(rd_plot(run, "--json").stdout)["runs"]
    assert found["points"][0]["slope"] is None is found["points"][0]["regret"]
    assert found["suspects"] == [] and found["no_verdict"] is None
    diverged = mnist_like.run_directory(
        tmp_path / "none", mnist_like.rows((1.0,), 1, diverged={(1.0, 0)})
    )
    check_message(
        rd_plot(run, diverged, "--summary"), 1, "none: every run of the split test diverged."
    )


def test_summary_and_figure_together(tmp_path):
    run, output = linear_gaussian(tmp_path / "lin"), tmp_path / "a.png"
    result = rd_plot(run, "--json", "-o", output)
    assert json.loads(result.stdout)["split"] == "test" and result.stderr == f"{output}\n"
    assert output.exists()


def test_targets_need_a_summary_and_lie_within_the_sweep(tmp_path):
    run = linear_gaussian(tmp_path / "lin")
    text = "--target-rate and --target-distortion need --summary."
    check_message(rd_plot(run, "-o", "a.png", "--target-rate", 3), 2, text)
    text = (
        "the target rate must lie within the sweep, 1.609 to 5.868: got 9; sweep other betas to "
        "go beyond."
    )
    check_message(rd_plot(run, "--summary", "--target-rate", 9), 2, text)
    other = linear_gaussian(tmp_path / "other", shift=2)
    result = rd_plot(run, other, "--summary", "--target-distortion", 1)
    check_message(
        result,
        2,
        "other: the target distortion must lie within the sweep, 2.493 to 4.968: got 1; sweep "
        "other betas to go beyond.",
    )


def test_names_from_outside_are_no_commands_to_the_terminal(tmp_path):
    result = rd_plot(linear_gaussian(tmp_path / "a\x1b[31mb\n"), "--summary")
    assert result.stdout.startswith("a?[31mb: binarized_mnist, ") and "\x1b" not in result.stdout
