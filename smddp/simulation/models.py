"""Models as values: what backward makes, in the order in which it makes it. Sizes follow from the architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smddp.simulation.spread import Spread

__all__ = ["MODELS", "Gradient", "Model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """One parameter's: its elements, and what backward does for it, in units of its own."""

    elements: int
    work: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a training step of it takes.

    Attributes:
        gradients: in the order in which backward makes them.
        flops: of one sample, forward and backward.
        sample: what that is, for people.
        batch: samples that a GPU takes in a step.
        utilisation: the part of a GPU's peak that training gets.
    """

    name: str
    gradients: tuple[Gradient, ...]
    flops: float
    sample: str
    batch: int
    utilisation: Spread

    @property
    def parameters(self) -> int:
        """Elements of all gradients."""
        return sum(gradient.elements for gradient in self.gradients)


_BERT_UTILISATION = Spread(
    low=0.26,
    likely=0.33,
    high=0.42,
    source="BERT-large, 512 tokens, on a V100 of 125 TFLOP/s: DeepSpeed 52 samples/s (53 TFLOP/s), up to 28 % above "
    "NVIDIA's and 62 % above Hugging Face's (deepspeed.ai/news/2020/05/27/fastest-bert-training.html)",
)
_GPT_UTILISATION = Spread(low=0.3, likely=0.4, high=0.5, source="as BERT's, with longer sequences; not measured by us")
_RESNET_UTILISATION = Spread(
    low=0.14, likely=0.2, high=0.28, source="ResNet-50 in float16 on a V100: 700 to 1,400 images/s; recalled"
)


def _dense(inputs: int, outputs: int, *, uses: int = 1) -> Iterator[Gradient]:
    """Weight and bias; `uses`: how often a sample passes them."""
    yield Gradient(elements=inputs * outputs, work=float(inputs * outputs * uses))
    yield Gradient(elements=outputs, work=0.0)


def _norm(width: int) -> Iterator[Gradient]:
    """Scale and shift."""
    yield from (Gradient(elements=width, work=0.0),) * 2


def _table(rows: int, width: int) -> Iterator[Gradient]:
    """An embedding, which is looked up."""
    yield Gradient(elements=rows * width, work=0.0)


def _bert_forward(layers: int, width: int, inner: int, vocabulary: int) -> Iterator[Gradient]:
    yield from _table(vocabulary, width)
    yield from _table(512, width)  # positions
    yield from _table(2, width)  # segments
    yield from _norm(width)
    for _ in range(layers):
        for _ in range(4):  # query, key, value, output
            yield from _dense(width, width)
        yield from _norm(width)
        yield from _dense(width, inner)
        yield from _dense(inner, width)
        yield from _norm(width)
    yield from _dense(width, width)  # pooler
    yield from _dense(width, width)  # of the masked words; its output layer is the first table
    yield from _norm(width)
    yield Gradient(elements=vocabulary, work=0.0)
    yield from _dense(width, 2)  # next sentence


def _bert_large() -> Model:
    gradients = tuple(reversed(list(_bert_forward(24, 1024, 4096, 30522))))
    return Model(
        name="bert-large",
        gradients=gradients,
        # Two operations an element and token, three times: forward, and two products backward.
        flops=6.0 * 512 * sum(gradient.elements for gradient in gradients),
        sample="sequence of 512 tokens",
        batch=16,  # LAMB's second phase: 32,768 on 2,048 GPUs (You et al., 2020)
        utilisation=_BERT_UTILISATION,
    )


def _gpt_forward(layers: int, width: int, vocabulary: int, positions: int) -> Iterator[Gradient]:
    yield from _table(vocabulary, width)  # the output layer, too
    yield from _table(positions, width)
    for _ in range(layers):
        yield from _norm(width)
        yield from _dense(width, 3 * width)
        yield from _dense(width, width)
        yield from _norm(width)
        yield from _dense(width, 4 * width)
        yield from _dense(4 * width, width)
    yield from _norm(width)


def _gpt2_xl() -> Model:
    gradients = tuple(reversed(list(_gpt_forward(48, 1600, 50257, 1024))))
    return Model(
        name="gpt2-xl",
        gradients=gradients,
        flops=6.0 * 1024 * sum(gradient.elements for gradient in gradients),
        sample="sequence of 1,024 tokens",
        batch=4,
        utilisation=_GPT_UTILISATION,
    )


def _convolution(inputs: int, outputs: int, kernel: int, side: int) -> Iterator[Gradient]:
    """Without bias, and the normalisation after it; the result has side * side pixels."""
    elements = inputs * outputs * kernel * kernel
    yield Gradient(elements=elements, work=float(elements * side * side))
    yield from _norm(outputs)


def _resnet_forward() -> Iterator[Gradient]:
    yield from _convolution(3, 64, 7, 112)
    inputs = 64
    for blocks, width, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        for block in range(blocks):
            # The first of a stage halves the picture by its middle convolution.
            before = side * 2 if block == 0 and width > 64 else side
            yield from _convolution(inputs, width, 1, before)
            yield from _convolution(width, width, 3, side)
            yield from _convolution(width, 4 * width, 1, side)
            if block == 0:
                yield from _convolution(inputs, 4 * width, 1, side)
            inputs = 4 * width
    yield from _dense(2048, 1000)


def _resnet50() -> Model:
    gradients = tuple(reversed(list(_resnet_forward())))
    return Model(
        name="resnet-50",
        gradients=gradients,
        flops=6.0 * sum(gradient.work for gradient in gradients),
        sample="image of 224 x 224",
        batch=128,
        utilisation=_RESNET_UTILISATION,
    )


#: Makers by name; a model has some hundred gradients.
MODELS: Mapping[str, Callable[[], Model]] = MappingProxyType(
    {"bert-large": _bert_large, "gpt2-xl": _gpt2_xl, "resnet-50": _resnet50}
)
