"""Data for the notebooks: MNIST (checked by hash), scikit-learn's digits, synthetic mixtures.

Origin and licence of every data set: data/README.md in a clone of the course.
"""

import numpy as np

from vi_helpers import _mnist_files, validation

# Raised by load_mnist when the files cannot be had.
from vi_helpers._mnist_files import DataUnavailableError as DataUnavailableError

NUM_DIGITS_TRAIN = 1500


def load_mnist(split="train", *, data_dir=None):
    """MNIST: handwritten digits, 60,000 to train on and 10,000 to test on.

    split    : "train" or "test"; only the two files of that split are needed
    data_dir : a folder that holds the original gzip files
    Returns images (N, 28, 28) uint8, 0 is background and 255 is ink; labels (N,) int64, 0..9.

    Looks in data_dir, in the folder named by the environment variable VI_DATA_DIR, in the
    project's data/ folder (or the user's cache folder), and then downloads, mirror after mirror.
    Every file is checked by SHA-256. A folder that you name is never written to.
    Raises DataUnavailableError when a file cannot be had, and ValueError for bad input.
    Source: LeCun, Cortes, Burges, CC BY-SA 3.0.
    """
    prefix = "train" if validation.one_of("split", split, ("train", "test")) == "train" else "t10k"
    images_name = f"{prefix}-images-idx3-ubyte.gz"
    labels_name = f"{prefix}-labels-idx1-ubyte.gz"
    images = _mnist_files.read_idx(images_name, data_dir, (None, 28, 28))
    labels = _mnist_files.read_idx(labels_name, data_dir, (None,))
    if len(images) != len(labels):
        raise ValueError(
            f"{images_name} and {labels_name} must hold equally many items, "
            f"got {len(images)} images and {len(labels)} labels"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(f"{labels_name} must hold labels 0..9, got {labels.max()}")
    return images, labels.astype(np.int64)


def mnist_at_hand(data_dir=None):
    """Whether load_mnist would find all four files, whole; downloads and changes nothing."""
    return _mnist_files.at_hand(data_dir)


def load_digits(split="all"):
    """Scanned 8x8 digits that ship with scikit-learn: no network, same contract as load_mnist.

    split : "all" (1797), "train" (the first 1500) or "test" (the other 297). The order is kept,
            so neighbouring images, often by one writer, stay on one side of the cut.
    Returns images (N, 8, 8) uint8, labels (N,) int64.

    Grey levels g = 0..16 become 255 g / 16, halves rounded up: 16 -> 255 and 8 -> 128, so that
    binarize with its threshold of 128 turns g >= 8 into one.
    Source: Alpaydin and Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0.
    """
    from sklearn import datasets as sklearn_datasets  # slow to import

    cut = {
        "all": slice(None),
        "train": slice(None, NUM_DIGITS_TRAIN),
        "test": slice(NUM_DIGITS_TRAIN, None),
    }[validation.one_of("split", split, ("all", "train", "test"))]
    bunch = sklearn_datasets.load_digits()
    levels = bunch.images[cut].astype(np.int64)
    images = ((255 * levels + 8) // 16).astype(np.uint8)
    return images, bunch.target[cut].astype(np.int64)


def binarize(images, threshold=128):
    """Black and white images: 1 where a pixel >= threshold, else 0.

    images : (N, H, W) uint8;  threshold : grey level in 0..255
    Returns (N, H, W) float32 of zeros and ones. Raises ValueError for other types or shapes:
    floats in [0, 1], say, would all fall below 128.
    """
    array = validation.array("images", images)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise ValueError(
            f"images must be uint8 of shape (N, H, W), got {array.dtype} of shape {array.shape}"
        )
    threshold = validation.finite("threshold", threshold, ndim=0)
    if not 0 <= threshold <= 255:
        raise ValueError(f"threshold must be a grey level in 0..255, got {threshold:g}")
    return (array >= threshold).astype(np.float32)


def make_gaussian_mixture(num_points, weights, means, covs, rng):
    """Draw points from a mixture of Gaussians.

    weights : (K,) probabilities;  means : (K, D);  covs : (K, D, D) positive definite
    rng     : numpy.random.Generator
    Returns X (num_points, D), labels (num_points,) with the component of each point.
    Raises ValueError for bad shapes or values.
    """
    num_points = validation.integer("num_points", num_points)
    weights = validation.probabilities("weights", weights, ndim=1)
    means = validation.finite("means", means, shape=(len(weights), None))
    covs = validation.covariance("covs", covs, shape=(*means.shape, means.shape[1]))
    validation.generator("rng", rng)
    labels = rng.choice(len(weights), size=num_points, p=weights)
    noise = rng.standard_normal((num_points, means.shape[1]))
    X = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(covs)[labels], noise)
    return X, labels


def make_bars(num_images, size, rng, *, prob=0.3, noise_std=0.3):
    """Foldiak's bars: each row and each column of a square image is inked, or not, by a coin.

    prob : chance of each of the 2 * size bars;  noise_std : Gaussian noise on each pixel
    A pixel where two bars cross has ink 2, so that images are sums of bars.
    Returns images (num_images, size, size) float, bars_on (num_images, 2 * size) zeros and ones,
    and bars (2 * size, size, size), the rows first.
    Source: Foldiak 1990, Biological Cybernetics 64.
    """
    num_images = validation.integer("num_images", num_images)
    size = validation.integer("size", size)
    prob = validation.number("prob", prob)
    if not 0 <= prob <= 1:
        raise ValueError(f"prob must lie in [0, 1], got {prob:g}")
    noise_std = validation.positive_number("noise_std", noise_std)
    validation.generator("rng", rng)
    rows = np.repeat(np.eye(size)[:, :, None], size, axis=2)
    bars = np.concatenate([rows, rows.transpose(0, 2, 1)])
    bars_on = (rng.random((num_images, 2 * size)) < prob).astype(float)
    images = np.tensordot(bars_on, bars, axes=1)
    return images + noise_std * rng.standard_normal(images.shape), bars_on, bars
