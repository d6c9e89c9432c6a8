"""MNIST's four files: find them or download them, check them by SHA-256, read them.

datasets.load_mnist is the way in.
"""

import contextlib
import hashlib
import os
import secrets
import stat
import time
import warnings
from pathlib import Path

from vi_helpers import _download, _idx_format

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
MNIST_BYTES = {
    "train-images-idx3-ubyte.gz": 9_912_422,
    "train-labels-idx1-ubyte.gz": 28_881,
    "t10k-images-idx3-ubyte.gz": 1_648_877,
    "t10k-labels-idx1-ubyte.gz": 4_542,
}


class DataUnavailableError(RuntimeError):
    """A data set was found neither in a folder nor on a mirror; the text lists what was tried."""


def cache_folders():
    """The folders this package may write to, best first: the clone's data/, the user's cache."""
    import pooch

    root = Path(__file__).resolve().parent.parent
    in_clone = (root / "pyproject.toml").is_file() and (root / "data" / "README.md").is_file()
    folders = [root / "data"] if in_clone else []
    with contextlib.suppress(RuntimeError, OSError):  # a user without a home has no cache
        folders.append(Path(pooch.os_cache("vi_helpers")).expanduser())
    return folders


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
        blob = _from_a_mirror(name, tried)
    return _idx_format.parse(blob, name, shape)


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
            blob, problem = _read(path)
        except OSError as error:
            reason = error.strerror or str(error)
            tried.append(f"{label}, {path}: {reason}{_lookalike(folder, name)}")
            continue
        if problem is None:
            return blob
        tried.append(f"{label}, {path}: {problem}{', removed' if is_ours and sweep else ''}")
        if is_ours and sweep:
            _remove(path)
        elif not is_ours:
            warnings.warn(f"{path} is not used: {problem}", stacklevel=4)
    return None


def _read(path):
    """The file's bytes and None, or None and what is wrong with it; OSError if it is not there."""
    status = path.stat()
    wanted = MNIST_BYTES[path.name]
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        return None, "not a regular file"
    if status.st_size != wanted:
        return None, f"wrong content, {status.st_size} bytes, expected {wanted}"
    blob = path.read_bytes()
    problem = _hash_problem(path.name, blob)
    return (blob, None) if problem is None else (None, problem)


def _lookalike(folder, name):
    """A hint where the folder holds the file unpacked or under another of its usual names."""
    plain = name.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    for other in (plain, dotted, f"{dotted}.gz"):
        if (folder / other).exists():
            return f" (there is {other}; the original {name} is wanted, packed and by this name)"
    return ""


def _places(data_dir):
    """(label, folder or None, whether this package owns the folder), in the order of looking."""
    yield "data_dir", _named_folder("data_dir", data_dir), False
    env = os.environ.get("VI_DATA_DIR") or None
    try:
        folder = _named_folder("VI_DATA_DIR", env)
    except ValueError as error:
        warnings.warn(str(error), stacklevel=5)
        folder = None
    if folder is not None and not folder.is_dir():
        warnings.warn(f"VI_DATA_DIR must name a folder, got {env!r}", stacklevel=5)
    yield "VI_DATA_DIR", folder, False
    for folder in cache_folders():
        yield "cache", folder, True


def _named_folder(label, value):
    """The folder that a person named, or None; ValueError when value cannot be a path."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{label} must be a path, got {value!r}")
    try:
        return None if value is None else Path(value).expanduser().absolute()
    except TypeError as error:
        raise ValueError(f"{label} must be a path, got {type(value).__name__}") from error
    except RuntimeError as error:  # no such home
        raise ValueError(f"{label} must be a path, got {value!r}: {error}") from error


def _hash_problem(name, blob):
    got, wanted = hashlib.sha256(blob).hexdigest(), MNIST_SHA256[name]
    if got == wanted:
        return None
    return f"wrong content, {len(blob)} bytes with SHA-256 {got}, expected {wanted}"


def _from_a_mirror(name, tried):
    """Fetch a file from the first mirror that has it right, keep it, return its bytes."""
    for mirror in MNIST_MIRRORS:
        url = mirror + name
        try:
            blob = _download.fetch(url, name, MNIST_BYTES[name])
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


def _keep(name, blob):
    """Write blob to the first cache folder that can be written, in one atomic step."""
    refused = []
    for folder in cache_folders():
        partial = folder / f"{name}.{secrets.token_hex(4)}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
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


def _sweep(folder):
    """Remove what a process killed while writing left behind; writing takes far under a minute."""
    for old in folder.glob("*-ubyte.gz.*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process swept it
            if time.time() - old.stat().st_mtime > 60:
                _remove(old)


def _remove(path):
    with contextlib.suppress(OSError):  # read-only, or in use on Windows: harmless where it is
        path.unlink()


def _how_to_help(name, tried):
    folder = [*cache_folders(), "a folder"][0]
    files = "\n".join(f"  {file}  SHA-256 {sha}" for file, sha in MNIST_SHA256.items())
    return (
        f"MNIST is not available: no good copy of {name} was found. Tried:\n"
        + "".join(f"  {line}\n" for line in tried)
        + "To place the files by hand, put\n"
        + files
        + f"\ninto {folder}, or into any folder that you pass as data_dir or name in the "
        "environment variable VI_DATA_DIR. datasets.load_digits() needs no download."
    )
