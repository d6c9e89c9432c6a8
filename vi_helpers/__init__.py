"""Helpers for the course on variational inference.

Import the modules you need, for example ``from vi_helpers import divergences``.
Nothing heavy (torch, matplotlib) is imported here.

The map. A module imports only what stands above it; the number is the notebook that teaches it.
An underscore marks an engine, which no page imports; it stands with the module that it drives,
or alone above the two that share it.

validation.py       argument checks                                                  all
                    (of what is no array: _kinds.py)
results.py          what every fit returns; the one loop that climbs a bound         all
quadrature.py       nodes and weights for expectations under a normal                03
densities.py        log densities and the targets the figures use                    01
gaussian_fits.py    the nearest Gaussian, by either KL, on a line or in a plane      01
                    (in the plane: _plane_fit.py)
divergences.py      KL in closed form, by quadrature, by Monte Carlo; Wasserstein    01
elbo.py             the ELBO in its forms: enumeration, grid, Monte Carlo            02
laplace.py          mode and curvature                                               03
                    (the search for the mode: _mode_search.py)
logistic.py         Bayesian logistic regression with a Gaussian q                   03
ppca.py             probabilistic PCA in closed form                                 10
mean_field.py       coordinate ascent: Gaussian target, unit-variance mixture        04
                    (the mixture's posterior by enumeration: _unit_mixture_exact.py)
ising.py            spins on a graph: exact, mean field, chains, belief propagation  05
                    (_ising_model.py, _ising_messages.py, _ising_exact.py, _ising_chains.py)
diagnostics.py      effective sample size, Pareto k̂, calibration by simulation       06
_seeding.py         torch: the generator of one who gives none                       06, 10
stochastic_vi.py    torch: gradient estimators, families, one fitting loop           06
                    (_vi_families.py, _vi_gradients.py, _vi_steps.py)
mixture_em.py       EM for Gaussian mixtures                                         07
                    (the sweep in one pass: _mixture_sweep.py)
latent_features.py  binary latent factors by exact, mean-field and hard EM           08
                    (parameters: _factor_params.py)
mixture_vb.py       variational Bayes for Gaussian mixtures                          09
                    (parameters: _vb_params.py; Dirichlet, Normal-Wishart: _conjugate.py)
vae/                torch: the frozen names are vi_helpers.vae's own                 10, 11
                    (vae/_inputs.py, vae/_networks.py, vae/model.py, vae/bounds.py,
                    vae/per_image.py, vae/training.py, vae/side_by_side.py)
small_networks.py   torch: many small networks of one shape, trained as one stack    10
datasets.py         real and synthetic data                                          11
                    (files, mirrors, hashes: _mnist_files.py, _idx_format.py, _download.py)
plotting.py         figures on given axes                                            all
widgets.py          sliders around a drawing function                                all
                    (what stays as it is between moves: _kept_ticks.py)
exercises.py        run the check of an exercise on an answer                        all
environment.py      is everything installed?                                         00
__main__.py         python -m vi_helpers: opens your own copies of the notebooks     00
"""

__version__ = "0.1.0"
