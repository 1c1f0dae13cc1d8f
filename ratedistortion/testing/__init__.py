"""Checks of a member of a family, such as a network of your own: does it keep to what it must?"""

from ratedistortion.testing.decoders import check_decoder, check_pixel_by_pixel
from ratedistortion.testing.encoders import check_encoder
from ratedistortion.testing.likelihoods import check_likelihood
from ratedistortion.testing.priors import check_prior

__all__ = [
    "check_decoder",
    "check_encoder",
    "check_likelihood",
    "check_pixel_by_pixel",
    "check_prior",
]
