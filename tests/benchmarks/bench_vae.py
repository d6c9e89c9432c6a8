"""Throughput of vae.train_vae on MNIST, beside two yardsticks, in one run.

    VI_DATA_DIR=... python tests/benchmarks/bench_vae.py

1. The customary loop on the same architecture: a DataLoader that transforms image after image,
   batches of 128, Adam with 1e-3, a sigmoid and binary cross-entropy.     Wanted: 5 times.
2. The matrix products of the training alone, in the same order and sizes. Wanted: half the time.
Each is timed for the same number of images, in turn, and the best of three rounds counts.
"""

import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from vi_helpers import datasets, vae

LATENT, HIDDEN, PIXELS = 20, 256, 784
BATCH, LR = 1000, 2e-2  # as notebook 11 trains
ROUNDS, NUM_IMAGES = 3, 40_000


class Digits(Dataset):
    """MNIST as torchvision feeds it: an image and its label at a time, ToTensor, then binarise."""

    def __init__(self, images):
        self.images = torch.from_numpy(images.copy())
        self.labels = torch.zeros(len(images), dtype=torch.long)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        picture = Image.fromarray(self.images[index].numpy())
        array = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(28, 28, 1)
        tensor = array.permute(2, 0, 1).contiguous().to(torch.float32).div(255)  # ToTensor
        return (tensor >= 128 / 255).float(), int(self.labels[index])


def train_customary(images):
    model = vae.VAE(LATENT, (HIDDEN,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, _ in DataLoader(Digits(images), batch_size=128, shuffle=True):
        mean, log_std = model.encode(x.squeeze(1))
        z = mean + torch.exp(log_std) * torch.randn_like(mean)
        probability = torch.sigmoid(model.decode(z))
        recon = functional.binary_cross_entropy(probability, x.squeeze(1), reduction="sum")
        kl = -0.5 * (1 + 2 * log_std - mean**2 - torch.exp(2 * log_std)).sum()
        optimizer.zero_grad()
        (recon + kl).backward()
        optimizer.step()


def train_ours(images):
    model = vae.VAE(LATENT, (HIDDEN,))
    vae.train_vae(model, images, epochs=1, batch_size=BATCH, lr=LR, progress=False, device="cpu")


def only_products(images):
    """y = x W', dL/dW = g' x and (but for the first layer) dL/dx = g W, for the four layers."""
    sizes = [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
    weights = [nn.Linear(a, b).weight.detach() for a, b in sizes]
    inputs = [torch.randn(BATCH, a) for a, _ in sizes]
    grads = [torch.randn(BATCH, b) for _, b in sizes]
    for _ in range(len(images) // BATCH):
        for x, weight in zip(inputs, weights, strict=True):
            x @ weight.T
        for layer, (x, weight, grad) in enumerate(zip(inputs, weights, grads, strict=True)):
            grad.T @ x
            if layer > 0:
                grad @ weight


def seconds(function, images):
    start = time.perf_counter()
    function(images)
    return time.perf_counter() - start


def main():
    grey = datasets.load_mnist("train")[0][:NUM_IMAGES]
    binary = torch.from_numpy(datasets.binarize(grey))
    train_ours(binary[:2000])  # warm up
    only_products(binary[:2000])
    rows = [
        [
            seconds(only_products, binary),
            seconds(train_ours, binary),
            seconds(train_customary, grey),
        ]
        for _ in range(ROUNDS)
    ]
    products, ours, customary = np.min(rows, axis=0)
    print(f"{NUM_IMAGES} images, {torch.get_num_threads()} thread(s), best of {ROUNDS} rounds")
    print(f"customary loop   {NUM_IMAGES / customary:8.0f} images/s")
    print(f"vae.train_vae    {NUM_IMAGES / ours:8.0f} images/s")
    print(f"products alone   {NUM_IMAGES / products:8.0f} images/s")
    print(f"throughput over the customary loop: {customary / ours:.1f} times (wanted: 5)")
    print(f"share of the matrix products:       {products / ours:.0%} (wanted: 50 %)")


if __name__ == "__main__":
    main()
