"""Draw the images that an advanced blending presentation state blends (PS3.4 N.2.6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsp_batch.core.blending import BlendedImage, blend_equally, blend_over
from dsp_batch.core.tiling import fit_tile, lay_out_tiles
from dsp_batch.core.windowing import display_values, find_shown
from dsp_batch.errors import PixelError
from dsp_batch.kinds.overlays.layers import Blending, BlendInput, BlendStep, PlaneLayer, Threshold
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import BoolArray, ByteArray
from dsp_batch.render.compose import compose_pictures
from dsp_batch.render.overlays.layers import sample_values
from dsp_batch.render.overlays.legend import write_legend
from dsp_batch.render.overlays.work import OverlayWork
from dsp_batch.render.text import Canvas

_MOST_READS = 256
"""Times that inputs are read, at most: a step may name an input that others have named."""

_MOST_STEPS = 64
"""Steps that follow from one another, at most."""


def draw_blending(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    """Draw the inputs as they are ordered, blend them, and name them in their colors; None where there are none.

    Raises:
        PixelError: An input cannot be read.
    """
    blending = scene.blending
    if blending is None:
        return None
    _, shape = lay_out_tiles(1, scene.shape, scene.aspect, work.options.size)
    inputs = _Inputs(scene, work, shape)
    blended = _Steps(inputs, blending).finish()
    if blended is None:
        return None
    pixels = np.rint(blended.colors * blended.shown[..., np.newaxis]).clip(0, 255).astype(np.uint8)
    turned = np.rot90(pixels, -blending.rotation)
    canvas = Canvas.over(np.ascontiguousarray(turned[:, ::-1] if blending.is_mirrored else turned))
    write_legend(canvas, scene.legend, (turned.shape[0], turned.shape[1]))
    known = work.describe()
    return work.encode(
        canvas.pixels(),
        None,
        n_tiles=1,
        drawn_as="overlay",
        context="drawn",
        **{**known, "notes": gather_notes((*known["notes"], *scene.notes, *inputs.notes))},
    )


class _Inputs:
    """The inputs of a blending, each read and drawn when it is needed: dozens at once would fill memory."""

    def __init__(self, scene: Scene, work: OverlayWork, shape: tuple[int, int]) -> None:
        self._scene, self._work, self._shape = scene, work, shape
        self._reads = 0
        self.notes: list[str] = []

    def show(self, each: BlendInput) -> BlendedImage:
        """Read an input and turn it into colors.

        Raises:
            PixelError: It cannot be read, or the steps ask for inputs more often than any real ones do.
        """
        self._reads += 1
        if self._reads > _MOST_READS:
            raise PixelError(f"a blending of more than {_MOST_READS} inputs is not drawn")
        frame = next(compose_pictures(self._work.open_pictures(each.backdrop)))
        if not isinstance(frame, StoredFrame):
            raise PixelError(f"input {each.number} of a blending cannot be read: {frame.message}")
        self.notes += frame.notes
        return _show(each, frame, self._scene, self._shape)


def _show(each: BlendInput, frame: StoredFrame, scene: Scene, shape: tuple[int, int]) -> BlendedImage:
    """Turn an input into colors, and bring it to the shape of the picture."""
    colors = _color(each, frame)
    shown = _find_shown(each.thresholds, frame)
    if each.mapping is None:
        mask = fit_tile(np.where(shown, np.uint8(255), np.uint8(0)), frame.aspect, shape)
        colors = fit_tile(np.where(shown[..., np.newaxis], colors, np.uint8(0)), frame.aspect, shape)
        share = mask.astype(np.float32) / 255
        # Colors were scaled together with the black of hidden pixels around them.
        whole = colors / np.where(share > 0, share, 1)[..., np.newaxis]
        return BlendedImage(whole.clip(0, 255), share)
    layer = PlaneLayer(
        backdrop=each.backdrop,
        shape=scene.shape,
        aspect=scene.aspect,
        picture=each.backdrop.picture,
        mapping=each.mapping,
    )
    channels = [sample_values(shape, layer, colors[..., channel].astype(np.float32)) for channel in range(3)]
    covered = sample_values(shape, layer, shown.astype(np.float32))
    return BlendedImage(np.stack(channels, axis=-1), (covered >= 0.5).astype(np.float32))


def _color(each: BlendInput, frame: StoredFrame) -> ByteArray:
    """Map stored values to colors: VOI, then the palette of the input, else gray."""
    voi = each.transform.voi
    if frame.is_color or voi is None:
        return frame.values if frame.is_color else np.repeat(frame.values[..., np.newaxis], 3, axis=2)
    display = display_values(replace(frame, transform=each.transform), voi)
    if each.color_map is None:
        return np.repeat(display[..., np.newaxis], 3, axis=2)
    colored: ByteArray = each.color_map[display]
    return colored


def _find_shown(thresholds: tuple[Threshold, ...], frame: StoredFrame) -> BoolArray:
    """Find the pixels that are no padding and that any threshold lets through. Those of color images all count."""
    if frame.is_color:
        return np.ones(frame.values.shape[:2], np.bool_)
    shown = find_shown(frame.values, frame.transform)
    if not thresholds:
        return shown
    values = frame.values * frame.transform.slope + frame.transform.intercept
    within = np.zeros(shown.shape, np.bool_)
    for each in thresholds:
        if each.is_outside:
            within |= (values < each.low) | (values > each.high)
        elif each.includes_ends:
            within |= (values >= each.low) & (values <= each.high)
        else:
            within |= (values > each.low) & (values < each.high)
    return shown & within


class _Steps:
    """The operations of a blending, whose results are found as they are needed."""

    def __init__(self, inputs: _Inputs, blending: Blending) -> None:
        self._inputs, self._steps = inputs, blending.steps
        self._by_number = {each.number: each for each in blending.inputs}
        self._results: dict[int, BlendedImage | None] = {}

    def finish(self) -> BlendedImage | None:
        """Return what is displayed: the result that is no input of another step, else all inputs alike."""
        last = next((step for step in self._steps if step.number is None), None)
        result = self._run(last, ()) if last else None
        return blend_equally(map(self._inputs.show, self._by_number.values())) if result is None else result

    def _run(self, step: BlendStep, running: tuple[int, ...]) -> BlendedImage | None:
        """Run a step with those of its inputs that there are; None where there is none."""
        found = (image for number in step.inputs if (image := self._find(number, running)) is not None)
        if step.opacity is None:
            return blend_equally(found)
        first, second = next(found, None), next(found, None)
        return first if first is None or second is None else blend_over(first, second, step.opacity)

    def _find(self, number: int, running: tuple[int, ...]) -> BlendedImage | None:
        """Find an input, or the result of a step. A step that needs itself has no result."""
        if number in self._by_number:
            return self._inputs.show(self._by_number[number])
        step = next((each for each in self._steps if each.number == number), None)
        if number not in self._results and step and number not in running and len(running) < _MOST_STEPS:
            self._results[number] = self._run(step, (*running, number))
        return self._results.get(number)
