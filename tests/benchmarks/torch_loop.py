"""What a user of PyTorch would write: one model in a Python loop, or faster. A worker process.

It needs PyTorch only. It says what it is in one line of JSON, then answers every line of JSON on
standard input, a model, a way to train it and a count of steps, with one line: the seconds that
those steps took, or an error.
Between lines it waits for input and costs nothing. A model lives on from request to request.
"""

import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def mlp(widths):
    """Dense layers with sigmoid linear units between them."""
    layers = []
    for before, after in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def conv(request):
    """Strided convolutions, then one affine map."""
    height, width, before = request["shape"]
    layers = [nn.Unflatten(1, (before, height, width))]
    for after, stride in zip(request["channels"], request["strides"], strict=True):
        layers += [nn.Conv2d(before, after, stride + 2, stride, padding=1), nn.SiLU()]
        height, width, before = height // stride, width // stride, after
    last = nn.Linear(height * width * before, 2 * request["latents"])
    return nn.Sequential(*layers, nn.Flatten(), last)


class Alone(nn.Module):
    """A decoder of the code alone."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, z, x):
        return self.network(z)


def deconv(request):
    """One affine map, then convolutions whose channels become pixels."""
    total = math.prod(request["strides"])
    height, width, channels = request["shape"]
    height, width, before = height // total, width // total, request["channels"][-1]
    layers = [nn.Linear(request["latents"], before * height * width)]
    layers += [nn.Unflatten(1, (before, height, width))]
    outputs = (*request["channels"][-2::-1], channels)
    for after, stride in zip(outputs, request["strides"][::-1], strict=True):
        layers += [nn.SiLU(), nn.Conv2d(before, after * stride**2, 3, padding=1)]
        layers += [nn.PixelShuffle(stride)]
        before = after
    return Alone(nn.Sequential(*layers, nn.Flatten()))


class MaskedLinear(nn.Linear):
    """An affine map with some of its weights held at zero, and a full one of the condition."""

    def __init__(self, before, after, conditions):
        super().__init__(len(before), len(after))
        self.register_buffer("mask", (before[None] <= after[:, None]).float())
        self.condition = nn.Linear(conditions, len(after), bias=False)

    def forward(self, x, condition):
        return F.linear(x, self.weight * self.mask, self.bias) + self.condition(condition)


class Made(nn.Module):
    """Masked dense layers, each with the code as a condition, and direct connections."""

    def __init__(self, request):
        super().__init__()
        pixels, latents = math.prod(request["shape"]), request["latents"]
        inputs, last = torch.arange(1, pixels + 1), torch.arange(pixels)
        before = [inputs]
        before += [torch.arange(w) * pixels // w for w in request["hidden"][::-1]]
        pairs = zip(before[:-1], before[1:], strict=True)
        self.layers = nn.ModuleList(MaskedLinear(a, b, latents) for a, b in pairs)
        self.last = MaskedLinear(before[-1], last, latents)
        self.direct = MaskedLinear(inputs, last, latents)

    def forward(self, z, x):
        units = x
        for layer in self.layers:
            units = F.silu(layer(units, z))
        return self.last(units, z) + self.direct(x, z)


class VAE(nn.Module):
    """An encoder and a decoder; called with images, it returns the loss D + beta R in nats."""

    def __init__(self, request):
        super().__init__()
        pixels, hidden = math.prod(request["shape"]), request["hidden"]
        self.beta, latents = request["beta"], request["latents"]
        self.encoder = (
            conv(request) if request["encoder"] == "conv" else mlp([pixels, *hidden, 2 * latents])
        )
        self.decoder = {
            "mlp": lambda request: Alone(mlp([latents, *hidden[::-1], pixels])),
            "deconv": deconv,
            "made": Made,
        }[request["decoder"]](request)

    def forward(self, x):
        mean, log_scale = self.encoder(x).chunk(2, dim=-1)
        z = mean + log_scale.exp() * torch.randn_like(mean)
        logits = self.decoder(z, x)
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = 0.5 * (mean**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum()
        return (distortion + self.beta * rate) / len(x)


class Training:
    """One model in training, step by step."""

    def __init__(self, request):
        self.device, self.batch = request["device"], request["batch_size"]
        pixels = math.prod(request["shape"])
        self.images = torch.randint(0, 2, (request["images"], pixels)).float().to(self.device)
        self.build(request)
        self.order = []

    def build(self, request):
        """Makes the model and its optimizer."""
        self.model = VAE(request).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=request["learning_rate"])

    def shuffled(self):
        """The images of an epoch, in the order in which they are used."""
        return torch.randperm(len(self.images), device=self.device)

    def step(self, rows):
        """Trains on a batch; returns its loss."""
        loss = self.loss(self.images[rows])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def loss(self, x):
        """The loss that is minimised."""
        return self.model(x)

    def run(self, steps):
        """Seconds of so many more steps."""
        self.wait()
        began = time.perf_counter()
        for _ in range(steps):
            if not self.order:
                order = self.shuffled().split(self.batch, -1)
                self.order = [rows for rows in order if rows.shape[-1] == self.batch]
            loss = self.step(self.order.pop())
        self.wait()
        seconds = time.perf_counter() - began
        assert math.isfinite(loss.item())
        return seconds

    def wait(self):
        """A GPU works on after Python has gone on."""
        if self.device != "cpu":
            torch.cuda.synchronize()


class Graph(Training):
    """One model; a whole step is one CUDA graph, which is replayed."""

    def build(self, request):
        """Records a step; its input is `self.x`."""
        if self.device == "cpu":
            raise RuntimeError("CUDA graphs need a GPU")
        self.model = VAE(request).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=request["learning_rate"], capturable=True
        )
        every = torch.arange(self.batch, device=self.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # as PyTorch's manual asks for before a recording
            for _ in range(3):
                super().step(every)
        torch.cuda.current_stream().wait_stream(side)
        self.x, self.graph = self.images[every], torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(self.graph):
            self.recorded = self.model(self.x)
            self.recorded.backward()
            self.optimizer.step()

    def step(self, rows):
        """Replays the step on a batch."""
        torch.index_select(self.images, 0, rows, out=self.x)
        self.graph.replay()
        return self.recorded


class Ensemble(Training):
    """All models at once, by `torch.func` and `vmap`; each has its own batches."""

    def build(self, request):
        """Stacks the models' parameters, which one optimizer trains."""
        self.runs = request["runs"]
        models = [VAE(request).to(self.device) for _ in range(self.runs)]
        parameters, buffers = torch.func.stack_module_state(models)
        self.optimizer = torch.optim.Adam(parameters.values(), lr=request["learning_rate"])

        def one(parameters, buffers, x):
            return torch.func.functional_call(models[0], (parameters, buffers), (x,))

        losses = torch.func.vmap(one, randomness="different")
        self.model = lambda x: losses(parameters, buffers, x)

    def shuffled(self):
        """(runs, images)"""
        return torch.rand(self.runs, len(self.images), device=self.device).argsort()

    def loss(self, x):
        """The sum, as no parameter is shared."""
        return self.model(x).sum()


WAYS = {"eager": Training, "graphs": Graph, "func": Ensemble}


def main():
    """Answers requests until standard input ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    cuda = torch.cuda.is_available()
    print(json.dumps({"torch": torch.__version__, "cuda": cuda}), flush=True)
    models = {}
    if cuda:
        torch.set_float32_matmul_precision("high")  # TF32, which JAX uses there by default
    for line in sys.stdin:
        request = json.loads(line)
        name = request["name"], request["way"]
        try:
            if name not in models:
                # The other models make room: a GPU may be shared with who asks.
                models = {}
                models[name] = WAYS[request["way"]](request)
            answer = {"seconds": models[name].run(request["steps"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
