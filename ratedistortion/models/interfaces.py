"""What a member of each family must offer: one Protocol each, and one more where members differ.

A member is a pytree of arrays, such as an `nnx.Module`: JAX differentiates, maps and casts it. A
member whose flag is True meets the second Protocol of its family. Flags are class attributes,
which are no leaves of the pytree. Likelihoods have no parameters: see `likelihoods.Likelihood`.

Reading this file loads no JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jaxtyping import Array, Int, PRNGKeyArray

    from ratedistortion.models.shapes import Codes, Images, Outputs, PerImage

# (height, width, channels) of an image, or (dimensions,) of a vector.
Shape = tuple[int, ...]

# The Protocols can be checked at run time for the sake of the tests, where beartype checks what
# every `build` returns. The program itself reads the flags and never asks `isinstance`.


class Posterior(NamedTuple):
    """q(z|x) for every image: a diagonal Gaussian; if there is a context, a flow moves its draws.

    Attributes:
        mean: Of the Gaussian.
        log_scale: Log of the Gaussian's standard deviation.
        context: What the flow knows about x; None where the posterior is the Gaussian itself.
    """

    mean: Codes
    log_scale: Codes
    context: Outputs | None = None


@runtime_checkable
class Encoder(Protocol):
    """x -> q(z|x).

    Attributes:
        gaussian: Whether q(z|x) is a diagonal Gaussian. If not, the member is a `FlowingEncoder`.
    """

    gaussian: bool

    def __call__(self, x: Images, /) -> Posterior:
        """The posterior of every image.

        Args:
            x: Flat images, less `Skip.centre`.

        Returns:
            What is added to the mean and the log scale of the model's linear map: any finite
            numbers, as the sum of the log scales is then held within `layers.LOG_SCALES`.
        """
        ...


@runtime_checkable
class FlowingEncoder(Encoder, Protocol):
    """An encoder whose codes are draws of a Gaussian that a flow has moved: `gaussian` is False.

    The flow changes no volume, so that log q(z|x) of a code is that of its draw.
    """

    def flow(self, start: Codes, context: Outputs, /) -> Codes:
        """The codes that these draws of the Gaussian become.

        Args:
            start: Draws, one for each image.
            context: From the posteriors of the same images.

        Returns:
            Codes z.
        """
        ...

    def unflow(self, z: Codes, context: Outputs, /) -> Codes:
        """The inverse of `flow`.

        Args:
            z: Codes, one for each image.
            context: From the posteriors of the same images.

        Returns:
            The draws that `flow` takes to these codes.
        """
        ...


@runtime_checkable
class Decoder(Protocol):
    """z -> the parameters of p(x|z), `outputs` real numbers for every dimension of x.

    Attributes:
        autoregressive: Whether the parameters of a dimension of x depend on other dimensions of x.
            If so, the member is an `AutoregressiveDecoder`, which is called with x as well.
    """

    autoregressive: bool

    def __call__(self, z: Codes, /) -> Outputs:
        """The parameters of every image.

        Args:
            z: Codes.

        Returns:
            What is added to the outputs of the model's linear map. The numbers of one dimension
            lie side by side, and the dimensions are in the order of the flat image.
        """
        ...


@runtime_checkable
class AutoregressiveDecoder(Protocol):
    """z and x -> the parameters of p(x_i | x_before_i, z): `autoregressive` is True.

    Dimensions are in the order of the flat image: rows, then columns, then channels.
    """

    autoregressive: bool

    def __call__(self, z: Codes, x: Images, /) -> Outputs:
        """The parameters of all dimensions at once, for the likelihood of images.

        Args:
            z: Codes.
            x: Flat images.

        Returns:
            The parameters of dimension i depend on z and on the dimensions before i only.
        """
        ...

    def cache(self, z: Codes, /) -> Any:
        """Makes the cache for the first call of `one`.

        Args:
            z: Codes.

        Returns:
            A pytree of arrays, of shapes that `one` keeps.
        """
        ...

    def one(self, i: Int[Array, ""], x: Images, cache: Any, /) -> tuple[Outputs, Any]:
        """The parameters of one dimension, for draws: it is called for i = 0, 1, 2 and so on.

        Args:
            i: The dimension.
            x: Images that are known before dimension i; zeros from there on.
            cache: What `cache`, or `one` for the dimension before, returned.

        Returns:
            The parameters of dimension i, and the cache for the next dimension.
        """
        ...


@runtime_checkable
class Prior(Protocol):
    """p(z), the marginal m(z) of Alemi et al. (2018).

    Attributes:
        gaussian: Whether p(z) is a diagonal Gaussian. If so, the member is a `GaussianPrior`.
        uses_encoder: False here. A prior that is made of the encoder is an `EncoderPrior`.
    """

    gaussian: bool
    uses_encoder: bool

    def log_density(self, z: Codes, /) -> PerImage:
        """log p(z).

        Args:
            z: Codes, in float32 or float64.

        Returns:
            Nats, summed over the latents, in the precision of z.
        """
        ...

    def sample(self, key: PRNGKeyArray, count: int, /) -> Codes:
        """Independent draws from p(z).

        Args:
            key: Of the draws.
            count: How many.

        Returns:
            Codes, in float32.
        """
        ...


@runtime_checkable
class GaussianPrior(Prior, Protocol):
    """A prior that is a diagonal Gaussian: its rate has a closed form. `gaussian` is True."""

    def standardize(self, mean: Codes, log_scale: Codes, /) -> tuple[Codes, Codes]:
        """Gaussians in the coordinates in which p(z) is a standard normal.

        Args:
            mean: Of diagonal Gaussians.
            log_scale: Logs of their standard deviations.

        Returns:
            Mean and log scale of the same Gaussians in the other coordinates.
        """
        ...


@runtime_checkable
class EncoderPrior(Protocol):
    """A prior that is made of the encoder's own posteriors: `uses_encoder` is True.

    It needs an encoder with `gaussian`.
    """

    uses_encoder: bool

    def given(self, encode: Callable[[Images], Posterior], /) -> Prior:
        """The prior that the encoder makes of these parameters.

        Args:
            encode: Gives the posterior of every image, by the encoder of the same model.

        Returns:
            p(z), whose density has gradients by the encoder's parameters too.
        """
        ...
