// An image file to levels, levels to normalised pixels, and those to windows; in torch's arithmetic.

const round = Math.fround;

// RGBA levels of an image, upright, on white.
export async function readLevels(blob, most) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("This is no image that the browser can read. Convert it to PNG or JPEG.");
  }
  const { width, height } = bitmap;
  if (width * height > most) {
    throw new Error(`The image has ${width} × ${height} pixels; at most ${most} are possible. Make it smaller.`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

// How an image is resized and cut.
export function plan({ width, height }, { short_side, long_side, window, stride }, patch) {
  const factor = Math.min(long_side / Math.max(height, width), short_side / Math.min(height, width));
  const side = (length) => Math.max(patch, Math.floor(length * factor + 0.5));
  const [resizedHeight, resizedWidth] = [side(height), side(width)];
  const most = window === null ? Infinity : Math.max(window, patch);
  const starts = (length) => {
    const own = Math.min(most, length);
    const count = Math.floor(Math.max(length - own + stride - 1, 0) / stride) + 1;
    return Array.from({ length: count }, (_, i) => Math.max(Math.min(i * stride + own, length) - own, 0));
  };
  return {
    height: resizedHeight,
    width: resizedWidth,
    tops: starts(resizedHeight),
    lefts: starts(resizedWidth),
    windowHeight: Math.min(most, resizedHeight),
    windowWidth: Math.min(most, resizedWidth),
  };
}

// (3, height, width) float32 of the resized image.
export function normalised(levels, { height, width }, { mean, std }) {
  const down = neighbours(levels.height, height);
  const across = neighbours(levels.width, width);
  const same = levels.height === height && levels.width === width;
  const pixels = new Float32Array(3 * height * width);
  const { data } = levels;
  for (let y = 0, i = 0; y < height; y++) {
    const top = down.low[y] * levels.width;
    const bottom = down.high[y] * levels.width;
    for (let x = 0; x < width; x++, i++) {
      const [left, right] = [across.low[x], across.high[x]];
      const places = [top + left, top + right, bottom + left, bottom + right];
      for (let channel = 0; channel < 3; channel++) {
        const [a, b, c, d] = places.map((place) => data[4 * place + channel]);
        const level = same ? a : halfEven(mix(mix(a, b, across.share[x]), mix(c, d, across.share[x]), down.share[y]));
        pixels[channel * height * width + i] = scaled(level, mean[channel], std[channel]);
      }
    }
  }
  return pixels;
}

// Windows `start` to `start + count`, row by row, cut to whole patches.
export function windowsOf(pixels, { height, width, tops, lefts }, [rows, columns], start, count) {
  const cut = new Float32Array(count * 3 * rows * columns);
  let to = 0;
  for (let number = start; number < start + count; number++) {
    const top = tops[Math.floor(number / lefts.length)];
    const left = lefts[number % lefts.length];
    for (let channel = 0; channel < 3; channel++) {
      for (let y = top; y < top + rows; y++, to += columns) {
        const from = (channel * height + y) * width + left;
        cut.set(pixels.subarray(from, from + columns), to);
      }
    }
  }
  return cut;
}

function neighbours(source, target) {
  const scale = round(source / target);
  const low = new Int32Array(target);
  const high = new Int32Array(target);
  const share = new Float32Array(target);
  for (let i = 0; i < target; i++) {
    const place = Math.max(round(round(scale * round(i + 0.5)) - 0.5), 0);
    low[i] = Math.min(Math.floor(place), source - 1);
    high[i] = Math.min(low[i] + 1, source - 1);
    share[i] = Math.min(Math.max(place - low[i], 0), 1);
  }
  return { low, high, share };
}

const mix = (a, b, share) => round(round(round(1 - share) * a) + round(share * b));

function halfEven(value) {
  const low = Math.floor(value);
  const over = value - low;
  if (over !== 0.5) return over < 0.5 ? low : low + 1;
  return low % 2 ? low + 1 : low;
}

const scaled = (level, mean, std) => round(round(round(level / 255) - round(mean)) / round(std));
