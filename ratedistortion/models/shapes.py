"""The arrays that networks take and give, in float32 or float64. Importing it loads JAX."""

from jaxtyping import Array, Float

# Flat images: pixels in rows, then columns, then channels.
Images = Float[Array, "images dimensions"]
# Images as convolutions take them, NHWC.
Pixels = Float[Array, "images height width channels"]
# A row for each image: a code z, noise, or the mean or log scale of a posterior.
Codes = Float[Array, "images latents"]
# One number for each image, such as a log density in nats.
PerImage = Float[Array, "images"]
# What is known of each image besides the input of a network; None where nothing is.
Condition = Float[Array, "images conditions"] | None
# What a network gives for each image.
Outputs = Float[Array, "images outputs"]
