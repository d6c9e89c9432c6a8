"""The file format of MNIST: gzipped IDX.

_mnist_files is the way in.
"""

import gzip
import zlib

import numpy as np


def parse(blob, name, shape):
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
