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
from dsp_batch.model.deadline import check_time
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import BoolArray, ByteArray
from dsp_batch.render.compose import compose_pictures
from dsp_batch.render.overlays.layers import sample_values
from dsp_batch.render.overlays.legend import write_legend
from dsp_batch.render.overlays.work import OverlayWork
from dsp_batch.render.text import Canvas

_MOST_USES = 256
"""Times that inputs and results of steps are used, at most: a step may name one that others have named."""

_MOST_STEPS = 64
"""Steps that follow from one another, at most."""

_MOST_PIXELS = 1 << 26
"""Pixels of an input, at most: each takes some 20 bytes until it has been scaled down."""


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
    steps = _Steps(inputs, blending)
    blended = steps.finish()
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
        **{**known, "notes": gather_notes((*known["notes"], *scene.notes, *inputs.notes, *steps.notes))},
    )


class _Inputs:
    """The inputs of a blending, each read and drawn when it is needed: dozens at once would fill memory."""

    def __init__(self, scene: Scene, work: OverlayWork, shape: tuple[int, int]) -> None:
        self._scene, self._work, self._shape = scene, work, shape
        self.notes: list[str] = []

    def show(self, each: BlendInput) -> BlendedImage:
        """Read an input and turn it into colors.

        Raises:
            PixelError: It cannot be read, or is too large.
        """
        frame = next(compose_pictures(self._work.open_pictures(each.backdrop)))
        if not isinstance(frame, StoredFrame):
            raise PixelError(f"input {each.number} of a blending cannot be read: {frame.message}")
        rows, columns = frame.values.shape[:2]
        if rows * columns > _MOST_PIXELS:
            raise PixelError(f"input {each.number} of a blending is too large: {rows} x {columns} pixels")
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
    """The operations of a blending. Results are found anew whenever they are needed: all at once would fill memory."""

    def __init__(self, inputs: _Inputs, blending: Blending) -> None:
        self._inputs = inputs
        self._last = next((step for step in blending.steps if step.number is None), None)
        self._inputs_by_number = {each.number: each for each in blending.inputs}
        self._steps_by_number = {each.number: each for each in reversed(blending.steps)}
        self._uses = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a sentence that says what was left out."""
        told = f"the blending uses images more than {_MOST_USES} times: the others are left out"
        return (told,) if self._uses > _MOST_USES else ()

    def finish(self) -> BlendedImage | None:
        """Return what is displayed: the result that is no input of another step, else all inputs alike."""
        result = self._run(self._last, ()) if self._last else None
        return blend_equally(map(self._inputs.show, self._inputs_by_number.values())) if result is None else result

    def _run(self, step: BlendStep, running: tuple[int, ...]) -> BlendedImage | None:
        """Run a step with those of its inputs that there are; None where there is none."""
        found = (image for number in step.inputs if (image := self._find(number, running)) is not None)
        if step.opacity is None:
            return blend_equally(found)
        first, second = next(found, None), next(found, None)
        return first if first is None or second is None else blend_over(first, second, step.opacity)

    def _find(self, number: int, running: tuple[int, ...]) -> BlendedImage | None:
        """Find an input, or the result of a step. A step that needs itself has no result."""
        check_time()
        one, step = self._inputs_by_number.get(number), self._steps_by_number.get(number)
        if one is None and (step is None or number in running or len(running) == _MOST_STEPS):
            return None
        self._uses += 1
        if self._uses > _MOST_USES:
            return None
        if one:
            return self._inputs.show(one)
        return self._run(step, (*running, number)) if step else None
