"""Data: right arrays or one clear error, against a server on loopback that misbehaves on demand."""

import contextlib
import gzip
import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from vi_helpers import _download, _idx_format, _mnist_files, datasets

WAIT_S = 60  # nothing here may hang
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def idx(array, magic=None, sizes=None):
    """A gzipped IDX file of array, with a false header on request."""
    magic = 0x0800 + array.ndim if magic is None else magic
    numbers = (magic, *(array.shape if sizes is None else sizes))
    header = b"".join(number.to_bytes(4, "big") for number in numbers)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def small_files():
    """Stand-ins for the four files: 12 images to train on, 5 to test on. Noise, so they are big
    enough to be cut in two."""
    rng = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("train", 12), ("t10k", 5)):
        arrays[f"{prefix}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (count, 28, 28))
        arrays[f"{prefix}-labels-idx1-ubyte.gz"] = rng.integers(0, 10, count)
    return arrays, {name: idx(array) for name, array in arrays.items()}


ARRAYS, FILES = small_files()
HASHES = {name: hashlib.sha256(blob).hexdigest() for name, blob in FILES.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how to behave, the last which file is wanted."""

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.requests.append((behaviour, name))
        if behaviour == "missing":
            return self.send_error(404)
        blob = b"<html>sign in first</html>" if behaviour == "wrong" else FILES[name]
        if behaviour == "together" and name == IMAGES:
            self.server.meeting.wait()
        if behaviour == "drip_header":
            return self.drip(b"HTTP/1.0 200 OK\r\nX-Slow: " + b"z" * 10_000)
        self.send_response(200)
        if behaviour not in ("endless", "drip", "bomb"):
            self.send_header("Content-Length", str(len(blob)))
        if behaviour in ("mislabelled", "bomb"):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if behaviour == "drip":
            return self.drip(blob)
        if behaviour in ("endless", "bomb"):
            zeros = b"\0" * 2**16
            return self.pour(gzip.compress(zeros) if behaviour == "bomb" else zeros)
        if behaviour in ("short", "stall"):
            blob = blob[: len(blob) // 2]
        self.wfile.write(blob)
        self.wfile.flush()
        if behaviour == "stall":
            self.server.stalled.set()
            self.server.let_go.wait(10)  # then the body just ends short

    def drip(self, blob):
        """One byte every twentieth of a second, until the reader goes away."""
        with contextlib.suppress(OSError):
            for byte in blob:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.server.let_go.wait(0.05):
                    return

    def pour(self, blob):
        """The same bytes again and again, up to 64 MB; poured counts them."""
        with contextlib.suppress(OSError):
            while self.server.poured < 64e6 and not self.server.let_go.is_set():
                self.wfile.write(blob)
                self.server.poured += len(blob)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.requests, server.poured = [], 0
    server.stalled, server.let_go = threading.Event(), threading.Event()
    server.meeting = threading.Barrier(2, timeout=WAIT_S)
    server.url = lambda behaviour: f"http://127.0.0.1:{server.server_port}/{behaviour}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.let_go.set()
    server.shutdown()
    server.server_close()
    thread.join(WAIT_S)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of its own, the small files' hashes, and no mirror until a test names one."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(_mnist_files, "cache_folders", lambda: [folder])
    monkeypatch.setattr(_mnist_files, "MNIST_SHA256", HASHES)
    monkeypatch.setattr(_mnist_files, "MNIST_MIRRORS", ())
    monkeypatch.setattr(_mnist_files, "MNIST_BYTES", {name: len(b) for name, b in FILES.items()})
    monkeypatch.setattr(_download, "SILENCE_S", WAIT_S)  # a busy computer is not a silent mirror
    monkeypatch.delenv("VI_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


def use_mirrors(monkeypatch, *mirrors):
    monkeypatch.setattr(_mnist_files, "MNIST_MIRRORS", mirrors)


def place(folder, names=tuple(FILES)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(FILES[name])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def only(*names):
    return {name: FILES[name] for name in names}


def assert_right(images, labels, prefix="train"):
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    np.testing.assert_array_equal(images, ARRAYS[f"{prefix}-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(labels, ARRAYS[f"{prefix}-labels-idx1-ubyte.gz"])


def dead_mirror():
    """The address of a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


# --- where files are looked for -------------------------------------------------------------


@pytest.mark.parametrize("split, prefix", [("train", "train"), ("test", "t10k")])
def test_each_split_needs_only_its_own_two_files(cache, tmp_path, split, prefix):
    place(tmp_path / "here", [name for name in FILES if name.startswith(prefix)])
    assert_right(*datasets.load_mnist(split, data_dir=tmp_path / "here"), prefix)
    assert not cache.exists()


@pytest.mark.parametrize("first", ["data_dir", "VI_DATA_DIR", "cache", "mirror"])
def test_the_places_are_searched_in_the_promised_order(cache, tmp_path, monkeypatch, server, first):
    order = ["data_dir", "VI_DATA_DIR", "cache", "mirror"]
    folders = {"data_dir": tmp_path / "a", "VI_DATA_DIR": tmp_path / "b", "cache": cache}
    monkeypatch.setenv("VI_DATA_DIR", str(folders["VI_DATA_DIR"]))
    use_mirrors(monkeypatch, server.url("good"))
    read = []
    real_read = _mnist_files._read
    monkeypatch.setattr(
        _mnist_files, "_read", lambda path: read.append(path.parent) or real_read(path)
    )
    for later in order[order.index(first) :]:
        if later in folders:
            place(folders[later])
    assert_right(*datasets.load_mnist(data_dir=folders["data_dir"]))
    tried = [folders[name] for name in order[: order.index(first) + 1] if name in folders]
    assert read == tried * 2  # images, then labels
    assert bool(server.requests) == (first == "mirror")


def test_files_at_hand_are_loaded_in_silence_and_can_be_written_to(cache, capfd):
    place(cache)
    images, labels = datasets.load_mnist()
    images[0] = labels[0] = 0
    assert capfd.readouterr() == ("", "")


def test_the_cache_of_a_clone_is_its_data_folder():
    first = _mnist_files.cache_folders()[0]
    root = first.parent
    assert first.name == "data" and (root / "vi_helpers").is_dir() and (root / "data").is_dir()


def test_without_a_clone_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setattr(_mnist_files, "__file__", str(tmp_path / "vi_helpers" / "_mnist_files.py"))
    (folder,) = _mnist_files.cache_folders()
    assert "vi_helpers" in str(folder) and tmp_path not in folder.parents


# --- downloads ------------------------------------------------------------------------------


def test_a_download_is_kept_and_not_repeated_and_draws_its_bar_on_stdout(
    cache, monkeypatch, server, capsys
):
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    out, err = capsys.readouterr()
    for name in (IMAGES, LABELS):
        assert f"{name}: 100%" in out
    assert err == ""
    assert contents(cache) == only(IMAGES, LABELS)
    assert_right(*datasets.load_mnist())
    assert server.requests == [("good", IMAGES), ("good", LABELS)]


@pytest.mark.parametrize("behaviour", ["dead", "missing", "wrong", "short", "stall"])
def test_a_bad_mirror_is_passed_over(cache, monkeypatch, server, behaviour):
    monkeypatch.setattr(_download, "SILENCE_S", 3.0)
    bad = dead_mirror() if behaviour == "dead" else server.url(behaviour)
    use_mirrors(monkeypatch, bad, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == only(IMAGES, LABELS)


@pytest.mark.parametrize(
    "behaviour, reason",
    [
        ("dead", "refused"),
        ("missing", "404"),
        ("wrong", "wrong content, 26 bytes"),
        ("short", "IncompleteRead"),
        ("stall", "timed out"),
    ],
)
def test_a_bad_mirror_alone_leaves_one_clear_error_and_no_file(
    cache, monkeypatch, server, capsys, behaviour, reason
):
    monkeypatch.setattr(_download, "SILENCE_S", 3.0)
    mirror = dead_mirror() if behaviour == "dead" else server.url(behaviour)
    use_mirrors(monkeypatch, mirror)
    with pytest.raises(datasets.DataUnavailableError) as caught:
        datasets.load_mnist()
    (line,) = [line for line in str(caught.value).splitlines() if mirror + IMAGES in line]
    assert reason in line
    assert contents(cache) == {}
    if behaviour in ("dead", "missing"):  # no bar for a mirror that sent nothing
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("behaviour", ["drip", "drip_header", "endless", "bomb"])
def test_a_mirror_that_never_ends_is_left_soon_and_with_little_memory(
    cache, monkeypatch, server, behaviour
):
    monkeypatch.setattr(_download, "CONNECT_S", 3.0)
    monkeypatch.setattr(_download, "WHOLE_S", 3.0)
    use_mirrors(monkeypatch, server.url(behaviour), server.url("good"))
    begin = time.monotonic()
    assert_right(*datasets.load_mnist())
    assert time.monotonic() - begin < WAIT_S
    assert server.poured < 32e6  # socket buffers, not the body
    assert contents(cache) == only(IMAGES, LABELS)


def test_a_mirror_that_takes_no_connection_is_left_at_the_deadline(cache, monkeypatch, server):
    monkeypatch.setattr(_download, "CONNECT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        use_mirrors(monkeypatch, f"http://127.0.0.1:{port}/", server.url("good"))
        begin = time.monotonic()
        assert_right(*datasets.load_mnist())
        assert time.monotonic() - begin < WAIT_S


def test_a_good_file_that_calls_itself_compressed_is_taken(cache, monkeypatch, server):
    use_mirrors(monkeypatch, server.url("mislabelled"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == only(IMAGES, LABELS)


@pytest.mark.parametrize("value", ["~nobody-of-this-name/x", "nul\0l"])
def test_a_data_dir_that_can_be_no_folder_is_named(cache, value):
    with pytest.raises(ValueError, match=r"data_dir must be a path, got"):
        datasets.load_mnist(data_dir=value)


@pytest.mark.parametrize("value", ["~nobody-of-this-name/x", "no such folder"])
def test_a_data_folder_in_the_environment_that_is_none_is_told(cache, monkeypatch, value):
    place(cache)
    monkeypatch.setenv("VI_DATA_DIR", value)
    with pytest.warns(UserWarning, match="VI_DATA_DIR must"):
        assert_right(*datasets.load_mnist())
    with pytest.warns(UserWarning, match="VI_DATA_DIR must"):
        assert datasets.mnist_at_hand()


def test_a_user_without_a_home_still_has_the_clone(monkeypatch):
    def homeless(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pooch.os_cache", homeless)
    assert [folder.name for folder in _mnist_files.cache_folders()] == ["data"]


@pytest.mark.parametrize(
    "other", ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"]
)
def test_files_under_another_name_get_a_hint(cache, tmp_path, other):
    (tmp_path / other).write_bytes(b"")
    with pytest.raises(datasets.DataUnavailableError, match=rf"\(there is {other}; the original"):
        datasets.load_mnist(data_dir=tmp_path)


def test_a_pipe_or_a_huge_file_under_the_name_is_not_read(cache, monkeypatch, server, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / IMAGES)
    with open(tmp_path / LABELS, "wb") as file:
        file.truncate(3 * 2**30)  # sparse
    use_mirrors(monkeypatch, server.url("good"))
    with pytest.warns(UserWarning) as caught:
        assert_right(*datasets.load_mnist(data_dir=tmp_path))
    told = " ".join(str(w.message) for w in caught)
    assert "not a regular file" in told and "3221225472 bytes, expected" in told


def test_what_a_killed_process_left_of_any_file_is_swept(cache, monkeypatch, server):
    cache.mkdir()
    left = cache / f"t10k-{LABELS.partition('-')[2]}.0123abcd.partial"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    use_mirrors(monkeypatch, server.url("good"))
    datasets.load_mnist()
    assert contents(cache) == only(IMAGES, LABELS)


def test_the_error_lists_everything_tried_and_how_to_place_the_files(
    cache, monkeypatch, server, tmp_path
):
    named = tmp_path / "named"
    place(named)
    (named / IMAGES).write_bytes(b"damaged")
    (tmp_path / "nowhere").mkdir()
    monkeypatch.setenv("VI_DATA_DIR", str(tmp_path / "nowhere"))
    mirrors = (dead_mirror(), server.url("missing"), server.url("wrong"))
    use_mirrors(monkeypatch, *mirrors)
    with (
        pytest.warns(UserWarning, match="is not used: wrong content"),
        pytest.raises(datasets.DataUnavailableError) as caught,
    ):
        datasets.load_mnist(data_dir=named)
    text = str(caught.value)
    folders = [str(named / IMAGES), str(tmp_path / "nowhere" / IMAGES), str(cache / IMAGES)]
    for expected in [*folders, *(mirror + IMAGES for mirror in mirrors)]:
        assert expected in text
    for expected in [*FILES, *HASHES.values(), str(cache), "VI_DATA_DIR", "data_dir", "by hand"]:
        assert expected in text
    assert (named / IMAGES).read_bytes() == b"damaged"


def test_a_damaged_file_in_a_named_folder_is_reported_left_alone_and_passed_over(
    cache, monkeypatch, server, tmp_path
):
    named = tmp_path / "named"
    place(named)
    (named / LABELS).write_bytes(b"damaged")
    before = contents(named)
    use_mirrors(monkeypatch, server.url("good"))
    with pytest.warns(UserWarning, match="is not used: wrong content"):
        assert_right(*datasets.load_mnist(data_dir=named))
    assert contents(named) == before and contents(cache) == only(LABELS)


def test_a_corrupt_cached_file_is_fetched_again(cache, monkeypatch, server):
    place(cache, [IMAGES, LABELS])
    (cache / IMAGES).write_bytes(FILES[IMAGES][:-1])
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == only(IMAGES, LABELS)
    assert server.requests == [("good", IMAGES)]


def test_a_corrupt_cached_file_does_not_stay_when_no_mirror_answers(cache, monkeypatch):
    place(cache, [IMAGES, LABELS])
    (cache / IMAGES).write_bytes(b"damaged")
    use_mirrors(monkeypatch, dead_mirror())
    with pytest.raises(datasets.DataUnavailableError, match="wrong content, 7 bytes"):
        datasets.load_mnist()
    assert contents(cache) == only(LABELS)


def test_looking_whether_the_files_are_at_hand_changes_nothing(cache):
    place(cache, list(_mnist_files.MNIST_SHA256))
    assert _mnist_files.at_hand()
    (cache / IMAGES).write_bytes(b"damaged")
    before = contents(cache)
    assert not _mnist_files.at_hand()
    assert contents(cache) == before


def test_a_cache_that_cannot_be_written_gives_way_to_the_next_one(
    cache, monkeypatch, server, capsys, tmp_path
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(_mnist_files, "cache_folders", lambda: [tmp_path / "file" / "sub", cache])
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert f"is kept in {cache}" in capsys.readouterr().out
    assert contents(cache) == only(IMAGES, LABELS)
    assert_right(*datasets.load_mnist())
    assert len(server.requests) == 2


def test_without_any_cache_the_data_still_come(cache, monkeypatch, server, capsys, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(_mnist_files, "cache_folders", lambda: [tmp_path / "file" / "sub"])
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert "could not be kept" in capsys.readouterr().out


def test_a_read_only_cache_is_left_as_it_is(cache, monkeypatch, server):
    place(cache, [LABELS])
    (cache / LABELS).write_bytes(b"damaged")
    cache.chmod(0o500)
    try:
        if os.access(cache, os.W_OK):
            pytest.skip("permission bits do not bind here (root or Windows)")
        use_mirrors(monkeypatch, server.url("good"))
        assert_right(*datasets.load_mnist())
        assert contents(cache) == {LABELS: b"damaged"}
    finally:
        cache.chmod(0o700)


def test_a_write_that_fails_leaves_nothing_behind(cache, monkeypatch, server, capsys):
    def disk_full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_mnist_files.os, "replace", disk_full)
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == {}
    assert "No space left on device" in capsys.readouterr().out


# --- several processes ----------------------------------------------------------------------

CHILD = """
import json, os, sys
from pathlib import Path
from vi_helpers import datasets, _mnist_files
cache, mirror, hashes, extra = json.loads(sys.argv[1])
_mnist_files.cache_folders = lambda: [Path(cache)]
_mnist_files.MNIST_MIRRORS = (mirror,)
_mnist_files.MNIST_SHA256 = hashes
_mnist_files.TIMEOUT_S = (60, 60)
exec(extra)
images, labels = datasets.load_mnist()
print("sums", images.sum(), labels.sum())
"""
# Dies in the middle of a write, as a killed process would.
DIE_WRITING = """
def write_half(path, blob):
    with open(path, "wb") as file:
        file.write(blob[: len(blob) // 2])
        file.flush()
        os._exit(9)
Path.write_bytes = write_half
"""


def start_child(cache, mirror, extra=""):
    setup = json.dumps([str(cache), mirror, HASHES, extra])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, setup], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_two_processes_at_once_both_get_the_data(cache, server):
    children = [start_child(cache, server.url("together")) for _ in range(2)]
    sums = f"sums {ARRAYS[IMAGES].sum()} {ARRAYS[LABELS].sum()}"
    for child in children:
        out, err = child.communicate(timeout=WAIT_S)
        assert child.returncode == 0 and err == b"" and sums in out.decode()
    assert contents(cache) == only(IMAGES, LABELS)
    assert server.requests.count(("together", IMAGES)) == 2  # both met at the server


def test_a_killed_download_leaves_no_file_and_the_next_one_works(cache, monkeypatch, server):
    child = start_child(cache, server.url("stall"))
    try:
        assert server.stalled.wait(WAIT_S)
    finally:
        child.kill()
        child.communicate(timeout=WAIT_S)
    assert contents(cache) == {}
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == only(IMAGES, LABELS)


def test_a_process_killed_while_writing_leaves_no_file_under_the_final_name(
    cache, monkeypatch, server
):
    child = start_child(cache, server.url("good"), DIE_WRITING)
    child.communicate(timeout=WAIT_S)
    assert child.returncode == 9
    (left,) = cache.iterdir()
    assert left.name.startswith(IMAGES) and left.name.endswith(".partial")
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    use_mirrors(monkeypatch, server.url("good"))
    assert_right(*datasets.load_mnist())
    assert contents(cache) == only(IMAGES, LABELS)  # the old half is swept


# --- the format -----------------------------------------------------------------------------

SMALL = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256


@pytest.mark.parametrize(
    "blob, message",
    [
        (idx(SMALL, magic=2049), "magic number 2051, got 2049"),
        (idx(SMALL, sizes=(3, 28, 28)), r"2352 bytes for the shape \(3, 28, 28\).*got 1568"),
        (idx(SMALL, sizes=(2**32 - 1, 28, 28)), "got 1568"),
        (idx(SMALL, sizes=(2, 14, 56)), r"shape \(28, 28\), got \(14, 56\)"),
        (gzip.compress(gzip.decompress(idx(SMALL))[:-1], mtime=0), "1568 bytes .* got 1567"),
        (gzip.compress(b"\0\0\x08\x03", mtime=0), "16 header bytes, got 4"),
        (idx(SMALL)[:-9], "whole gzip file"),
        (b"<html></html>", "whole gzip file"),
        (b"", "header bytes, got 0"),
    ],
)
def test_a_malformed_file_is_named_with_what_is_wrong(blob, message):
    with pytest.raises(ValueError, match=f"some-name.*{message}"):
        _idx_format.parse(blob, "some-name", (None, 28, 28))


@pytest.mark.parametrize(
    "labels, message",
    [(np.zeros(11), "12 images and 11 labels"), (np.full(12, 10), "labels 0..9, got 10")],
)
def test_labels_that_do_not_fit_the_images_are_refused(cache, monkeypatch, labels, message):
    place(cache)
    (cache / LABELS).write_bytes(idx(labels))
    sha = hashlib.sha256(idx(labels)).hexdigest()
    monkeypatch.setattr(_mnist_files, "MNIST_SHA256", {**HASHES, LABELS: sha})
    monkeypatch.setitem(_mnist_files.MNIST_BYTES, LABELS, len(idx(labels)))
    with pytest.raises(ValueError, match=message):
        datasets.load_mnist()


def test_bad_arguments_are_named(cache):
    with pytest.raises(ValueError, match=r"split must be one of 'train', 'test', got 'valid'"):
        datasets.load_mnist("valid")
    with pytest.raises(ValueError, match="data_dir must be a path, got int"):
        datasets.load_mnist(data_dir=3)


# --- the real files -------------------------------------------------------------------------


@pytest.mark.skipif(
    not os.environ.get("VI_DATA_DIR"), reason="VI_DATA_DIR names no folder with the real MNIST"
)
@pytest.mark.parametrize(
    "split, count, first, mean",
    [("train", 60_000, [5, 0, 4, 1, 9], 33.3184), ("test", 10_000, [7, 2, 1, 0, 4], 33.7912)],
)
def test_the_real_mnist_is_what_it_should_be(split, count, first, mean):
    images, labels = datasets.load_mnist(split)
    assert images.shape == (count, 28, 28) and labels.shape == (count,)
    assert labels[:5].tolist() == first and set(labels.tolist()) == set(range(10))
    assert images.mean() == pytest.approx(mean, abs=1e-4) and images.max() == 255
    # Rows and columns are where they should be: digits are drawn in the middle.
    assert images[:, :, [0, -1]].mean() < 0.1 and images[:, 10:18, 10:18].mean() > 80


# --- offline and synthetic data -------------------------------------------------------------


def test_small_digits_keep_the_contract_and_scale_grey_levels_linearly():
    images, labels = datasets.load_digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8
    assert labels.shape == (1797,) and labels.dtype == np.int64
    levels = sklearn_datasets.load_digits().images
    assert np.abs(images - 255 * levels / 16).max() <= 0.5
    np.testing.assert_array_equal(datasets.binarize(images), levels >= 8)
    np.testing.assert_array_equal(labels, sklearn_datasets.load_digits().target)


def test_small_digits_split_without_overlap():
    parts = [datasets.load_digits(split) for split in ("train", "test")]
    for part, whole in zip(zip(*parts, strict=True), datasets.load_digits(), strict=True):
        np.testing.assert_array_equal(np.concatenate(part), whole)
    assert [len(labels) for _, labels in parts] == [1500, 297]
    with pytest.raises(ValueError, match="split must be one of"):
        datasets.load_digits("valid")


def test_binarize_sets_a_pixel_below_the_threshold_to_zero_and_else_to_one():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    binary = datasets.binarize(images)
    assert binary.dtype == np.float32 and binary.shape == images.shape
    assert binary.ravel().tolist() == [0.0 if pixel < 128 else 1.0 for pixel in range(256)]
    assert datasets.binarize(images, threshold=200).sum() == 56


@pytest.mark.parametrize(
    "images, threshold, message",
    [
        (np.full((1, 2, 2), 0.7), 128, "images must be uint8 .* got float64"),
        (np.zeros((28, 28), np.uint8), 128, r"shape \(N, H, W\), got uint8 of shape \(28, 28\)"),
        (np.zeros((1, 2, 2), np.uint8), 256, "threshold must be a grey level in 0..255, got 256"),
        (np.zeros((1, 2, 2), np.uint8), np.nan, "threshold must be finite"),
    ],
)
def test_binarize_refuses_what_it_would_get_wrong(images, threshold, message):
    with pytest.raises(ValueError, match=message):
        datasets.binarize(images, threshold)


MIXTURE = ([0.3, 0.7], [[0.0, 1.0], [5.0, -2.0]], [[[1.0, 0.8], [0.8, 2.0]], np.eye(2)])


def test_a_gaussian_mixture_has_the_moments_asked_for():
    weights, means, covs = (np.array(part) for part in MIXTURE)
    X, labels = datasets.make_gaussian_mixture(20_000, *MIXTURE, np.random.default_rng(1))
    assert X.shape == (20_000, 2) and labels.shape == (20_000,)
    for k in range(2):
        own = X[labels == k]
        n = len(own)
        assert abs(n / 20_000 - weights[k]) < 5 * np.sqrt(0.21 / 20_000)
        std = np.sqrt(np.diag(covs[k]))
        assert (np.abs(own.mean(0) - means[k]) < 5 * std / np.sqrt(n)).all()
        # Var of a sample covariance: (S_ii S_jj + S_ij^2) / n
        error = np.sqrt((np.outer(std**2, std**2) + covs[k] ** 2) / n)
        assert (np.abs(np.cov(own.T) - covs[k]) < 5 * error).all()


def test_the_same_generator_state_draws_the_same_mixture():
    draws = [
        datasets.make_gaussian_mixture(50, *MIXTURE, np.random.default_rng(seed))[0]
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_points": 0}, "num_points must be an integer >= 1, got 0"),
        ({"weights": [0.3, 0.6]}, "weights must sum to 1"),
        ({"means": [[0.0, 1.0]]}, r"means must have shape \(2, 'any'\), got \(1, 2\)"),
        ({"means": [[0.0, np.nan], [0.0, 1.0]]}, "means must be finite"),
        ({"covs": np.eye(2)}, r"covs must have shape \(2, 2, 2\), got \(2, 2\)"),
        ({"covs": [np.eye(3), np.eye(3)]}, "covs must have shape"),
        ({"covs": [np.eye(2), -np.eye(2)]}, "covs must be positive definite"),
        ({"rng": 0}, "rng must be a numpy.random.Generator, got int"),
    ],
)
def test_a_bad_mixture_is_refused(change, message):
    weights, means, covs = MIXTURE
    good = {"num_points": 10, "weights": weights, "means": means, "covs": covs}
    good["rng"] = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        datasets.make_gaussian_mixture(**{**good, **change})


def test_importing_datasets_imports_nothing_heavy():
    code = (
        "import sys, vi_helpers.datasets; "
        "print([m for m in ('torch', 'matplotlib', 'sklearn', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=WAIT_S)
    assert done.stdout.decode().strip() == "[]"
