"""MNIST's four files: find them or download them, check them by SHA-256, read them.

datasets.load_mnist is the way in.
"""

import contextlib
import gzip
import hashlib
import io
import os
import secrets
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np

# Tried in this order; each holds the same four files, so the hashes decide.
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
# Seconds to connect and seconds without a byte: a dead mirror is left in seconds.
TIMEOUT_S = (5, 10)


class DataUnavailableError(RuntimeError):
    """A data set was found neither in a folder nor on a mirror; the text lists what was tried."""


def cache_folders():
    """The folders this package may write to, best first: the clone's data/, the user's cache."""
    import pooch

    root = Path(__file__).resolve().parent.parent
    user = Path(pooch.os_cache("vi_helpers"))
    in_clone = (root / "pyproject.toml").is_file() and (root / "data" / "README.md").is_file()
    return [root / "data", user] if in_clone else [user]


def at_hand(data_dir=None):
    """Whether all four files lie in the folders, whole; downloads and changes nothing."""
    return all(_find(name, data_dir, [], sweep=False) is not None for name in MNIST_SHA256)


def read_idx(name, data_dir, shape):
    """The array in one of MNIST's files, uint8; shape holds None where any size will do.

    Raises DataUnavailableError if no copy with the right hash can be had.
    """
    tried = []
    blob = _find(name, data_dir, tried)
    if blob is None:
        blob = _download(name, tried)
    return parse_idx(blob, name, shape)


def _find(name, data_dir, tried, sweep=True):
    """Look through the folders; returns None, with the reasons in tried, if none has the file.

    With sweep, a broken file in our own cache is removed.
    """
    for label, folder, is_ours in _places(data_dir):
        if folder is None:
            tried.append(f"{label}: not set")
            continue
        path = folder / name
        try:
            blob = path.read_bytes()
        except OSError as error:
            tried.append(f"{label}, {path}: {error.strerror or error}")
            continue
        problem = _hash_problem(name, blob)
        if problem is None:
            return blob
        tried.append(f"{label}, {path}: {problem}{', removed' if is_ours and sweep else ''}")
        if is_ours and sweep:
            _remove(path)
        elif not is_ours:
            warnings.warn(f"{path} is not used: {problem}", stacklevel=4)
    return None


def _places(data_dir):
    """(label, folder or None, whether this package owns the folder), in the order of looking."""
    try:
        named = None if data_dir is None else Path(data_dir).expanduser().absolute()
    except TypeError as error:
        raise ValueError(f"data_dir must be a path, got {type(data_dir).__name__}") from error
    env = os.environ.get("VI_DATA_DIR")
    yield "data_dir", named, False
    yield "VI_DATA_DIR", Path(env).expanduser().absolute() if env else None, False
    for folder in cache_folders():
        yield "cache", folder, True


def _hash_problem(name, blob):
    got, wanted = hashlib.sha256(blob).hexdigest(), MNIST_SHA256[name]
    if got == wanted:
        return None
    return f"wrong content, {len(blob)} bytes with SHA-256 {got}, expected {wanted}"


def _download(name, tried):
    """Fetch a file from the first mirror that has it right, keep it, return its bytes."""
    for mirror in MNIST_MIRRORS:
        url = mirror + name
        try:
            blob = _fetch(url, name)
        except Exception as error:  # whatever one mirror does, the next is tried
            # requests wraps the reason of a failed connection twice
            reason = getattr(error.args[0] if error.args else None, "reason", error)
            tried.append(f"{url}: {type(reason).__name__}: {reason}")
            continue
        problem = _hash_problem(name, blob)
        if problem is None:
            _keep(name, blob)
            return blob
        tried.append(f"{url}: {problem}")
    raise DataUnavailableError(_how_to_help(name, tried))


def _fetch(url, name):
    """The body of url. It is held in memory: a killed download leaves nothing on disk."""
    import pooch

    body, bar = io.BytesIO(), _Bar(name)
    downloader = pooch.HTTPDownloader(
        progressbar=bar,
        chunk_size=2**14,
        timeout=TIMEOUT_S,
        headers={"Accept-Encoding": "identity"},
    )
    try:
        downloader(url, body, None)
    finally:
        bar.close()
    return body.getvalue()


class _Bar:
    """The progress bar that pooch drives: on stdout, since stored notebooks hold no stderr, and
    only once bytes come, so that a dead mirror draws none."""

    def __init__(self, name):
        self.name, self.total, self.bar = name, 0, None

    def update(self, step):
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(
                total=self.total, desc=self.name, unit="B", unit_scale=True, file=sys.stdout
            )
        # pooch counts whole chunks, the last one too
        self.bar.update(min(step, self.total - self.bar.n) if self.total else step)

    def reset(self):
        """pooch resets and then fills the bar; update stops at the total by itself."""

    def close(self):
        if self.bar is not None:
            self.bar.close()


def _keep(name, blob):
    """Write blob to the first cache folder that can be written, in one atomic step."""
    refused = []
    for folder in cache_folders():
        partial = folder / f"{name}.{secrets.token_hex(4)}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder, name)
            partial.write_bytes(blob)
            os.replace(partial, folder / name)
        except OSError as error:
            refused.append(f"{folder}: {error.strerror or error}")
            continue
        finally:
            _remove(partial)
        if refused:
            print(f"{name} is kept in {folder}, for lack of a better place ({'; '.join(refused)})")
        return
    print(f"{name} could not be kept and will be downloaded again ({'; '.join(refused)})")


def _sweep(folder, name):
    """Remove what a process killed while writing left behind; writing takes far under a minute."""
    for old in folder.glob(f"{name}.*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process swept it
            if time.time() - old.stat().st_mtime > 60:
                _remove(old)


def _remove(path):
    with contextlib.suppress(OSError):  # read-only, or in use on Windows: harmless where it is
        path.unlink()


def _how_to_help(name, tried):
    files = "\n".join(f"  {file}  SHA-256 {sha}" for file, sha in MNIST_SHA256.items())
    return (
        f"MNIST is not available: no good copy of {name} was found. Tried:\n"
        + "".join(f"  {line}\n" for line in tried)
        + "To place the files by hand, put\n"
        + files
        + f"\ninto {cache_folders()[0]}, or into any folder that you pass as data_dir or name in "
        "the environment variable VI_DATA_DIR. datasets.load_digits() needs no download."
    )


def parse_idx(blob, name, shape):
    """Read a gzipped IDX file of unsigned bytes; shape holds None where any size will do.

    Layout, big-endian: magic number 0x0800 + number of axes; a 32-bit size per axis; the data.
    """
    try:
        raw = gzip.decompress(blob)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} must be a whole gzip file, got: {error}") from error
    magic, header_size = 0x0800 + len(shape), 4 + 4 * len(shape)
    if len(raw) < header_size:
        raise ValueError(f"{name} must begin with {header_size} header bytes, got {len(raw)}")
    found = int.from_bytes(raw[:4], "big")
    if found != magic:
        raise ValueError(f"{name} must have magic number {magic}, got {found}")
    sizes = tuple(int(size) for size in np.frombuffer(raw, ">u4", len(shape), offset=4))
    if sizes[1:] != shape[1:]:
        raise ValueError(f"{name} must hold items of shape {shape[1:]}, got {sizes[1:]}")
    payload, wanted = len(raw) - header_size, int(np.prod(sizes, dtype=np.int64))
    if payload != wanted:
        raise ValueError(
            f"{name} must hold {wanted} bytes for the shape {sizes} in its header, got {payload}"
        )
    # A copy, since an array over bytes cannot be written to.
    return np.frombuffer(raw, np.uint8, offset=header_size).reshape(sizes).copy()
