"""What names and paths stand for, and what loading asks of every data set."""

import subprocess
import sys


def test_a_bare_word_is_never_a_path(tmp_path, monkeypatch, prepare, pictures, get, refusal):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)})
    (tmp_path / "mnist").mkdir()
    assert "(the path of that name is ./mnist)" in refusal("mnist")
    assert len(get("./tiny/1.0.0").train) == len(get("tiny/1.0.0").train) == 5


def test_paths_without_data_are_refused(tmp_path, refusal):
    assert "is not there" in refusal(tmp_path / "none.npz")
    assert "is not there" in refusal(tmp_path / "none")
    assert "is not there" in refusal("none.npz") and "is not there" in refusal("~/none/none")
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    assert "must be an .npz or .npy file" in refusal(tmp_path / "a.csv")
    (tmp_path / "folder.npz").mkdir()
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path / "folder.npz")


def test_fewer_examples_than_a_batch_are_refused(get, refusal):
    text = refusal("digits", max_examples=50, batch_size=51)
    assert "at least 51 training examples" in text and "got 50 train and 50 test" in text
    assert "--batch-size" in text
    assert get("digits", max_examples=50, batch_size=50).train.shape == (50, 64)
    assert "2 in each split" in refusal("digits", max_examples=1, batch_size=1)


def test_importing_is_cheap():
    code = (
        "import sys, numpy, ratedistortion.datasets; "
        "print(*({'jax', 'PIL', 'tensorflow_datasets', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
