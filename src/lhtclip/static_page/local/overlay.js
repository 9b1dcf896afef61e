// The classes over the image, with a legend below, as a JPEG.

import { paint } from "../painter.js";

const OPACITY = 0.55;
const LINE = 26; // pixels

export async function overlay(levels, result, classes) {
  const { width, height } = levels;
  const image = await createImageBitmap(new ImageData(levels.data, width, height));
  const shown = classes.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
  const picture = new OffscreenCanvas(width, height);
  paint(picture, image, { ...result, classes }, { opacity: OPACITY, edges: true, visible: () => true });
  const lines = place(shown, Math.max(width, 160));
  const whole = new OffscreenCanvas(Math.max(width, 160), height + LINE * (lines.at(-1).row + 1) + 8);
  const context = whole.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, whole.width, whole.height);
  context.drawImage(picture, 0, 0);
  context.font = "15px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const { text, colour, left, row } of lines) {
    const middle = height + 4 + LINE * (row + 0.5);
    context.fillStyle = colour;
    context.fillRect(left, middle - 8, 16, 16);
    context.fillStyle = "#222";
    context.fillText(text, left + 22, middle);
  }
  const blob = await whole.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  return new Uint8Array(await blob.arrayBuffer());
}

function place(classes, width) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.font = "15px system-ui, sans-serif";
  let left = 8;
  let row = 0;
  return classes.map(({ name, colour, share }) => {
    const text = `${name} ${(100 * share).toFixed(1)} %`;
    const wide = context.measureText(text).width + 40;
    if (left > 8 && left + wide > width) [left, row] = [8, row + 1];
    left += wide;
    return { text, colour, left: left - wide, row };
  });
}
